package admin

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"tollgate/keys"
)

const (
	keysPath = "/admin/v1/keys"
	// maxPage is the largest page that the API gives.
	maxPage = 10_000
)

// KeyQuery says which keys are wanted. An empty field admits every key.
type KeyQuery struct {
	// Tenant is whose keys, Name their label, exactly, and State where they stand now.
	Tenant, Name string
	State        keys.State
	// Limit is how many at most; 0 means all.
	Limit int
}

// CreateKey issues a key; the answer is the only one that shows its secret. With the hash of a secret
// that exists already, asking again changes nothing and returns the same key.
func (c *Client) CreateKey(ctx context.Context, k NewKey) (IssuedKey, error) {
	var issued IssuedKey
	err := c.repeatable(k.SHA256).call(ctx, http.MethodPost, keysPath, k, &issued)
	return issued, err
}

// Keys returns the keys that q admits, oldest first, page by page as they are asked for. After
// an error, which comes with an empty Key, there are no more.
func (c *Client) Keys(ctx context.Context, q KeyQuery) iter.Seq2[Key, error] {
	values := parameters("tenant", q.Tenant, "name", q.Name, "state", string(q.State))
	return pages(q.Limit, func(after string, limit int) ([]Key, string, error) {
		var page KeyPage
		err := c.call(ctx, http.MethodGet, pagePath(keysPath, values, "after", after, limit), nil, &page)
		return page.Keys, page.Next, err
	})
}

// ShowKey returns the key with this id.
func (c *Client) ShowKey(ctx context.Context, id string) (Key, error) {
	return c.key(ctx, http.MethodGet, keyPath(id), nil)
}

// UpdateKey changes the fields of the key with this id that change has, and returns the key.
func (c *Client) UpdateKey(ctx context.Context, id string, change KeyPatch) (Key, error) {
	return c.key(ctx, http.MethodPatch, keyPath(id), change)
}

// RotateKey gives the key with this id another secret; the answer is the only one that shows it. With the
// hash of a secret that exists already, asking again changes nothing.
func (c *Client) RotateKey(ctx context.Context, id string, r Rotation) (IssuedKey, error) {
	var issued IssuedKey
	err := c.repeatable(r.SHA256).call(ctx, http.MethodPost, keyPath(id)+"/rotate", r, &issued)
	return issued, err
}

// RevokeKey ends the key with this id for good, and returns it; doing it twice changes nothing.
func (c *Client) RevokeKey(ctx context.Context, id string, r Revocation) (Key, error) {
	return c.key(ctx, http.MethodPost, keyPath(id)+"/revoke", r)
}

// DeleteKey removes the key with this id, and returns it as it was; doing it twice changes nothing.
func (c *Client) DeleteKey(ctx context.Context, id string) (Key, error) {
	return c.key(ctx, http.MethodDelete, keyPath(id), nil)
}

func (c *Client) key(ctx context.Context, method, path string, body any) (Key, error) {
	var key Key
	err := c.call(ctx, method, path, body, &key)
	return key, err
}

func keyPath(id string) string { return keysPath + "/" + url.PathEscape(id) }

// repeatable is the client for a call that may be made again where its answer was lost. Where
// the API makes the secret it may not: the first one would be nobody's.
func (c *Client) repeatable(sha256 string) *Client {
	if sha256 != "" {
		return c
	}
	return c.Waiting(Wait{})
}

// parameters are the pairs of names and values that have a value.
func parameters(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

// pagePath is the address of one page of a list, the one that begins behind mark.
func pagePath(path string, values url.Values, name, mark string, limit int) string {
	values.Set("limit", strconv.Itoa(limit))
	if mark != "" {
		values.Set(name, mark)
	}
	return path + "?" + values.Encode()
}

// pages asks for page after page until there are limit items, or no more; limit 0 means all of them.
func pages[T any](limit int, ask func(mark string, limit int) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for mark, given := "", 0; ; {
			size := maxPage
			if limit > 0 {
				size = min(size, limit-given)
			}
			items, next, err := ask(mark, size)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			items = items[:min(len(items), size)]
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			// A page that is empty, or that leads to itself, is nothing to follow for ever.
			given += len(items)
			if next == "" || next == mark || len(items) == 0 || limit > 0 && given >= limit {
				return
			}
			mark = next
		}
	}
}
