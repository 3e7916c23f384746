// Package charts answers one question: does the Helm chart give a cluster what its
// users rely on? Its tests render charts/tollgate with Helm and read the objects
// that come out. It holds nothing but tests.
package charts
