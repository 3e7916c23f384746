// Command dies passes two places four times each, and says so each time.
package main

import (
	"fmt"

	"tollgate/crash"
)

func main() {
	for n := 1; n <= 4; n++ {
		crash.Point("dies.here")
		fmt.Println("here", n)
		crash.Point("dies.there")
		fmt.Println("there", n)
	}
}
