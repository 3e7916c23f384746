package simulator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tollgate/simulator"
)

// TheTurbo answers, then fails in the middle of an answer; the truth log says
// what left it.
func Example() {
	s := simulator.New(simulator.Options{Behaviour: simulator.Behaviour{Text: "a short answer"}})
	running, err := s.Start("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = running.Close(context.Background()) }()
	defer http.DefaultClient.CloseIdleConnections()

	// The second request's connection is cut behind 400 bytes of the stream.
	err = s.Inject(simulator.Fault{Provider: simulator.TheTurbo, Nth: 2, Kind: simulator.Cut, AtByte: 400})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		r, _ := http.NewRequest(http.MethodPost, running.URL()+"/theturbo/v1/chat/completions", strings.NewReader(
			`{"model":"gemini-2.0-flash","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
		r.Header.Set("Authorization", "Bearer any-key")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		fmt.Println("status", answer.StatusCode, "error", err)
	}

	entries, _ := s.Settled(context.Background(), 2)
	for _, e := range entries {
		fmt.Printf("%d of %d tokens written, done %v, fault %q, text %q\n",
			e.TokensWritten, e.Usage.Completion, e.Done, e.Fault, e.Choices[0].Text)
	}
	// Output:
	// status 200 error <nil>
	// status 200 error unexpected EOF
	// 3 of 3 tokens written, done true, fault "", text "a short answer"
	// 1 of 3 tokens written, done false, fault "cut", text "a"
}
