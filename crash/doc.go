// Package crash answers one question: what if the process dies exactly here?
//
// Point marks a place by a name. In a program that was built with the tag
// crashpoints, the environment may say CRASH_AT=name:n: the process then kills
// itself, with SIGKILL, when it passes that place for the n-th time. In any other
// program a point is nothing, and costs nothing. It is safe for concurrent use.
package crash
