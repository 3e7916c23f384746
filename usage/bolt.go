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
	// encoded is memory for what write puts into the file; bbolt reads it until the transaction has ended.
	encoded []byte
}

// maxEncoded bounds the memory that is kept from one transaction to the next. A usual record takes 700 bytes.
const maxEncoded = 1 << 20

// OpenLedger opens the embedded ledger in db. It creates what is missing, and refuses
// a ledger that a newer Tollgate has written. The caller closes the ledger first and db afterwards.
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
	if cap(s.encoded) > maxEncoded {
		s.encoded = nil
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		w := batchWriter{encoded: s.encoded[:0], sums: map[string]*totals{}}
		w.records, w.totals = buckets(tx)
		// Request ids begin with their time, so keys mostly come in order and pages may be filled up.
		w.records.FillPercent = 0.9
		for i := range batch {
			if err := w.put(&batch[i]); err != nil {
				return markRejected(err, i)
			}
		}
		err := w.putSums()
		s.encoded = w.encoded
		return err
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

// batchWriter writes the records of one transaction. Their totals are summed in
// memory, so that each is read and written once, however many records it counts.
type batchWriter struct {
	records, totals *bolt.Bucket
	sums            map[string]*totals // by the keys of the totals
	key             []byte             // memory for the key at hand; bbolt copies keys, not values
	encoded         []byte
}

// put writes a record that is new, and adds it to the sum of its bucket. A record
// that is there already, or earlier in the batch, changes nothing.
func (w *batchWriter) put(r *Record) error {
	w.key = appendRecordKey(w.key[:0], r)
	if w.records.Get(w.key) != nil {
		return nil
	}
	begin := len(w.encoded)
	var err error
	if w.encoded, err = appendRecord(w.encoded, r); err != nil {
		return err
	}
	if err := w.records.Put(w.key, w.encoded[begin:]); err != nil {
		return err
	}
	more := r.totals()
	if more == (totals{}) {
		return nil
	}
	sum, err := w.sum(r)
	if err != nil {
		return err
	}
	if err := sum.add(more); err != nil {
		return fmt.Errorf("the totals of %s: %w", r.day(), err)
	}
	return nil
}

// sum is what a record's bucket holds, with what the batch has added to it so far.
func (w *batchWriter) sum(r *Record) (*totals, error) {
	w.key = r.bucket().appendKey(w.key[:0])
	if sum := w.sums[string(w.key)]; sum != nil {
		return sum, nil
	}
	sum := new(totals)
	if stored := w.totals.Get(w.key); stored != nil {
		if err := json.Unmarshal(stored, sum); err != nil {
			return nil, fmt.Errorf("the totals of %s are damaged: %w", r.day(), err)
		}
	}
	w.sums[string(w.key)] = sum
	return sum, nil
}

func (w *batchWriter) putSums() error {
	for key, sum := range w.sums {
		begin := len(w.encoded)
		w.encoded = appendTotals(w.encoded, sum)
		if err := w.totals.Put([]byte(key), w.encoded[begin:]); err != nil {
			return err
		}
	}
	return nil
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
			r, err := decodeRecord(v)
			if err != nil {
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

// appendRecordKey appends request id, zero byte, kind, attempt: a request's records
// stand together, in the order of its life. A settle's attempt is 0 here, whatever the
// record says of who answered: a request is billed once.
func appendRecordKey(dst []byte, r *Record) []byte {
	dst = append(append(dst, r.RequestID...), 0, r.Kind.order())
	if r.Kind == KindSettle {
		return append(dst, 0, 0)
	}
	return binary.BigEndian.AppendUint16(dst, uint16(r.Attempt))
}

// appendKey appends the labels with a zero byte between them, which none of them holds; the day comes first.
func (b bucket) appendKey(dst []byte) []byte {
	dst = append(append(dst, b.day...), 0)
	dst = append(append(dst, b.tenant...), 0)
	dst = append(append(dst, b.keyID...), 0)
	dst = append(append(dst, b.model...), 0)
	return append(dst, b.provider...)
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
