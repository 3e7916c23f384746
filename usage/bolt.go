package usage

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the embedded ledger, inside one of its own: the records by request
// id, kind and attempt, and the totals by day and labels.
const (
	ledgerBucket  = "usage"
	recordsBucket = "records"
	totalsBucket  = "totals"
	formatKey     = "format"
	ledgerFormat  = "1"
)

// boltStorage is the embedded storage: one bbolt file, one fsynced transaction per batch.
type boltStorage struct {
	db *bolt.DB
}

// OpenLedger opens the embedded ledger in db and starts its committer. It creates
// what is missing, and refuses a ledger that a newer Tollgate has written. The
// caller closes the ledger first and db afterwards.
func OpenLedger(db *bolt.DB) (*Ledger, error) {
	s, err := openBoltStorage(db)
	if err != nil {
		return nil, err
	}
	return newLedger(s), nil
}

func openBoltStorage(db *bolt.DB) (*boltStorage, error) {
	if db.NoSync {
		return nil, errors.New("usage ledger: the store does not sync, so no record would be durable; open it without NoSync")
	}
	err := db.Update(func(tx *bolt.Tx) error {
		root, err := tx.CreateBucketIfNotExists([]byte(ledgerBucket))
		if err != nil {
			return err
		}
		switch format := root.Get([]byte(formatKey)); string(format) {
		case ledgerFormat:
		case "":
			if err := root.Put([]byte(formatKey), []byte(ledgerFormat)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("format %q is not known, only %q; use the Tollgate that wrote it, or a newer one", format, ledgerFormat)
		}
		for _, name := range [...]string{recordsBucket, totalsBucket} {
			if _, err := root.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("usage ledger: %w", err)
	}
	return &boltStorage{db: db}, nil
}

func (s *boltStorage) write(_ context.Context, batch []Record) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		records, totals := buckets(tx)
		// Request ids begin with their time, so keys mostly come in order and pages may be filled up.
		records.FillPercent = 0.9
		for i, r := range batch {
			if err := put(records, totals, r); err != nil {
				return markRejected(err, i)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("usage ledger: %w", err)
	}
	return nil
}

// markRejected tells a record that can never be added from a storage that failed.
func markRejected(err error, index int) error {
	if errors.Is(err, ErrOverflow) {
		return &rejection{index: index, err: fmt.Errorf("%w: %w", ErrBadRecord, err)}
	}
	return err
}

func buckets(tx *bolt.Tx) (records, totals *bolt.Bucket) {
	root := tx.Bucket([]byte(ledgerBucket))
	return root.Bucket([]byte(recordsBucket)), root.Bucket([]byte(totalsBucket))
}

// put writes a record that is new, and adds it to its totals in the same transaction.
func put(records, allTotals *bolt.Bucket, r Record) error {
	key := recordKey(r)
	if records.Get(key) != nil {
		return nil
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := records.Put(key, value); err != nil {
		return err
	}
	more := r.totals()
	if more == (totals{}) {
		return nil
	}
	var sum totals
	bucketKey := r.bucket().key()
	if old := allTotals.Get(bucketKey); old != nil {
		if err := json.Unmarshal(old, &sum); err != nil {
			return fmt.Errorf("the totals of %s are damaged: %w", r.day(), err)
		}
	}
	if err := sum.add(more); err != nil {
		return fmt.Errorf("the totals of %s: %w", r.day(), err)
	}
	if value, err = json.Marshal(sum); err != nil {
		return err
	}
	return allTotals.Put(bucketKey, value)
}

func (s *boltStorage) byRequest(ctx context.Context, requestID string) ([]Record, error) {
	if strings.ContainsRune(requestID, 0) {
		return nil, nil // no record has such an id, and as a prefix it would find another's
	}
	var found []Record
	err := s.db.View(func(tx *bolt.Tx) error {
		records, _ := buckets(tx)
		prefix := append([]byte(requestID), 0)
		cursor := records.Cursor()
		for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
			var r Record
			if err := json.Unmarshal(v, &r); err != nil {
				return fmt.Errorf("a record of request %s is damaged: %w", requestID, err)
			}
			found = append(found, r)
		}
		return context.Cause(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("usage ledger: %w", err)
	}
	return found, nil
}

func (s *boltStorage) sum(ctx context.Context, q Query) ([]Row, error) {
	first, last := q.days()
	gathered := newSummary(q)
	err := s.db.View(func(tx *bolt.Tx) error {
		_, allTotals := buckets(tx)
		cursor := allTotals.Cursor()
		for k, v := cursor.Seek([]byte(first)); k != nil; k, v = cursor.Next() {
			b, err := readBucketKey(k)
			if err != nil {
				return err
			}
			if last != "" && b.day > last {
				break
			}
			if err := errors.Join(gathered.addEncoded(b, v), context.Cause(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("usage ledger: %w", err)
	}
	return gathered.rows(), nil
}

// recordKey is request id, zero byte, kind, attempt: a request's records stand
// together, in the order of its life.
func recordKey(r Record) []byte {
	key := append([]byte(r.RequestID), 0, r.Kind.order())
	return binary.BigEndian.AppendUint16(key, uint16(r.Attempt))
}

// key is the labels with a zero byte between them, which none of them holds; the day comes first.
func (b bucket) key() []byte {
	return bytes.Join([][]byte{[]byte(b.day), []byte(b.tenant), []byte(b.keyID), []byte(b.model), []byte(b.provider)}, []byte{0})
}

func readBucketKey(key []byte) (bucket, error) {
	labels := bytes.Split(key, []byte{0})
	if len(labels) != 5 {
		return bucket{}, fmt.Errorf("a key of the totals is damaged: %q", key)
	}
	return bucket{
		day: string(labels[0]), tenant: string(labels[1]), keyID: string(labels[2]), model: string(labels[3]), provider: string(labels[4]),
	}, nil
}
