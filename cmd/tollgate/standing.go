package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"tollgate/admin"
)

// standingRows are where limits stand, below what they belong to; nothing where none is in force.
func standingRows(w io.Writer, standing []admin.Standing) {
	if len(standing) == 0 {
		return
	}
	line(w, "")
	row(w, "LIMIT", "PER", "MAX", "LEFT", "RESETS IN")
	for _, s := range standing {
		unit := unitOf(s)
		row(w, markShadow(s.Limit, s.Shadow), strings.ReplaceAll(string(s.Per), "_", " "), counted(s.Max, unit), counted(s.Left, unit), resetsIn(s))
	}
}

// unitOf is what a limit counts, of one: of any other number it has an s.
func unitOf(s admin.Standing) string {
	if strings.HasSuffix(s.Limit, "tokens") {
		return "token"
	}
	return "request"
}

func counted(n int64, unit string) string { return fmt.Sprintf("%d %s%s", n, unit, plural(n)) }

// resetsIn is when all is there again. Of requests in progress nobody knows when they end.
func resetsIn(s admin.Standing) string {
	if s.Per == admin.AtOnce {
		return ""
	}
	return brief(time.Duration(s.ResetMS) * time.Millisecond)
}
