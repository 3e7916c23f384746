package admin

import (
	"context"
	"iter"
	"net/http"
	"strconv"
)

// AuditQuery says which changes are wanted. An empty field admits every change.
type AuditQuery struct {
	// KeyID is the key that was changed, Tenant whose it is, By the name of who did it.
	KeyID, Tenant, By string
	// Limit is how many at most; 0 means all.
	Limit int
}

// Audit returns the changes that q admits, the latest first, page by page as they are asked
// for. After an error, which comes with an empty Change, there are no more.
func (c *Client) Audit(ctx context.Context, q AuditQuery) iter.Seq2[Change, error] {
	values := parameters("key", q.KeyID, "tenant", q.Tenant, "by", q.By)
	return pages(q.Limit, func(before string, limit int) ([]Change, string, error) {
		var page AuditPage
		err := c.call(ctx, http.MethodGet, pagePath("/admin/v1/audit", values, "before", before, limit), nil, &page)
		if page.Next == 0 {
			return page.Changes, "", err
		}
		return page.Changes, strconv.FormatUint(page.Next, 10), err
	})
}
