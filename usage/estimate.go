package usage

// Estimator counts tokens of text locally. Safe for concurrent use.
type Estimator struct{}

// NewEstimator returns an estimator; its vocabulary is loaded by the first count, or by Load.
func NewEstimator() *Estimator { return &Estimator{} }

// Load loads the vocabulary now, so that no request waits for it.
func (e *Estimator) Load() { panic("stub") }

// CountText counts the tokens of plain text.
func (e *Estimator) CountText(s string) int64 { panic("stub") }

// CountJSON counts the tokens of the bodies of JSON strings, still escaped, without their quotes.
func (e *Estimator) CountJSON(parts ...[]byte) int64 { panic("stub") }

// NewMeter returns a meter for one answer at a time.
func (e *Estimator) NewMeter(when Counting) *Meter { return &Meter{} }
