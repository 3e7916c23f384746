package proxy

import "tollgate/usage"

// Explanation says what would happen to a request at this moment, and why. Its
// names are those of the operators' API. Nothing in it is text of the prompt.
type Explanation struct {
	// Sent says that a provider would be asked; else Refusal says what the client would be told.
	Sent    bool     `json:"sent"`
	Refusal *Refusal `json:"refusal,omitempty"`
	// Stages are those of a request's life, in order, as far as they can be foreseen.
	Stages  []Stage         `json:"stages"`
	Request *RequestSummary `json:"request,omitempty"`
	Limits  []LimitLeft     `json:"limits,omitempty"`
	// Candidates are all that serve the model: first those who would be asked, in order, then those passed over.
	Candidates []CandidateOutlook `json:"candidates,omitempty"`
	// Charge is what the tenant would pay; nil: the model has no price.
	Charge *CostRange `json:"charge,omitempty"`
}

// Refusal is what a client is told.
type Refusal struct {
	Status       int    `json:"status"`
	Type         string `json:"type"`
	Code         string `json:"code"`
	Param        string `json:"param,omitempty"`
	Message      string `json:"message"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Stage is one stage of a request's life.
type Stage struct {
	// Name is authenticate, read, authorize, route, admit or attempt.
	Name string `json:"name"`
	// Result is passed, refused or not_reached.
	Result string `json:"result"`
	// Detail says in a few words what was found.
	Detail string `json:"detail,omitempty"`
}

// RequestSummary is what was read of a request.
type RequestSummary struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	// Bytes is the length of the body.
	Bytes int `json:"bytes"`
	// PromptTokens is an estimate of the text; media are not counted.
	PromptTokens int64 `json:"prompt_tokens"`
	// MaxCompletionTokens is the most that the request allows over all its choices; 0: it names no limit.
	MaxCompletionTokens int64 `json:"max_completion_tokens,omitempty"`
	// ReservedTokens is what would be reserved of limits of tokens, until the provider has counted; 0: there are none.
	ReservedTokens int64 `json:"reserved_tokens,omitempty"`
	// Needs are the fields, roles and media that decide who can serve it.
	Needs []string `json:"needs,omitempty"`
}

// LimitLeft is what is left of one of the key's limits, or of its tenant's.
type LimitLeft struct {
	// Name is requests, tokens or concurrent, with "tenant_" before those of the tenant, as metrics have it.
	Name      string `json:"name"`
	Limit     int64  `json:"limit"`
	Remaining int64  `json:"remaining"`
	// ResetMS is when all of it is there again; 0 for concurrent, of which nobody knows.
	ResetMS int64 `json:"reset_ms"`
	// Refuses says that it has not what the request needs. In shadow, it would refuse if it were enforced.
	Refuses bool `json:"refuses,omitempty"`
	Shadow  bool `json:"shadow,omitempty"`
}

// CandidateOutlook is one way to have the request answered.
type CandidateOutlook struct {
	Provider   string `json:"provider"`
	URL        string `json:"url"`
	Credential string `json:"credential"`
	// Model is the provider's own name.
	Model  string `json:"model"`
	Tier   int    `json:"tier"`
	Weight int    `json:"weight"`
	State  string `json:"state"`
	// StateWhy says in a few words why; empty: nothing is wrong.
	StateWhy string `json:"state_why,omitempty"`
	// Excluded says why it would not be asked now; nil: it would, or may be.
	Excluded *Exclusion `json:"excluded,omitempty"`
	// Share is about how likely the request is to go there first, from 0 to 1, at this moment: by the policy, the latencies
	// and what is in progress, which change with each request. 0: only when others fail.
	Share float64 `json:"share"`
	// Dropped are the fields that would be left out, and Adapted what would be written differently, such as "max_completion_tokens as max_tokens".
	Dropped []string `json:"dropped,omitempty"`
	Adapted []string `json:"adapted,omitempty"`
	// Cost is what the provider would charge us; nil: its price is not configured.
	Cost *CostRange `json:"cost,omitempty"`
}

// Exclusion is why somebody is not asked: the candidate it stands at, or in a Trail the one it names.
type Exclusion struct {
	Provider string `json:"provider,omitempty"`
	// URL, Credential and Model are empty where all of the provider is meant.
	URL        string `json:"url,omitempty"`
	Credential string `json:"credential,omitempty"`
	Model      string `json:"model,omitempty"`
	// Param is the request field at fault; empty: its state is.
	Param string `json:"param,omitempty"`
	// Why is a predicate such as `does not take "seed"` or "is open: keeps failing".
	Why string `json:"why"`
}

// CostRange is from the least, for an answer of nothing, to the most that the request allows.
type CostRange struct {
	Least usage.NanoUSD `json:"least_nanousd"`
	// Most is absent where the request names no limit, or has media.
	Most *usage.NanoUSD `json:"most_nanousd,omitempty"`
	// Price is the entry of the price book.
	Price string `json:"price"`
}

// Trail is what was decided on a real request's way. It is kept in its usage record; CompleteTrail
// returns it whole.
type Trail struct {
	Attempts []TrailAttempt `json:"attempts"`
	// Excluded are those who could not have been asked when the request began.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// MoreExcluded is how many there are for whom there was no room.
	MoreExcluded int `json:"more_excluded,omitempty"`
}

// TrailAttempt is one attempt of a request.
type TrailAttempt struct {
	Provider   string `json:"provider"`
	URL        string `json:"url"`
	Credential string `json:"credential"`
	Model      string `json:"model"`
	Outcome    string `json:"outcome"`
	// Status is the provider's; 0: it gave none.
	Status int `json:"status,omitempty"`
	// BeganMS is when, after the request was accepted, and TookMS how long it was until the attempt was decided, rounded up.
	BeganMS int64    `json:"began_ms"`
	TookMS  int64    `json:"took_ms"`
	Dropped []string `json:"dropped,omitempty"`
	Adapted []string `json:"adapted,omitempty"`
}
