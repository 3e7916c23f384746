// The lines between a test that is written in Go and a client library at work.
//
// Requests come in on standard input, one JSON object a line:
//
//	{"id":1,"base_url":"...","api_key":"...","params":{...}}   ask; params are the library's own affair
//	{"id":1,"leave":true}                                      abort what was asked
//
// and lines go out on standard output: {"id":1,"reading":true} when a stream's
// first text has come, and {"id":1,"seen":{...}} when the request has ended.
// Many may run at once. The process ends with its standard input.
import { createInterface } from 'node:readline';

// serve hands each request to run, with a signal that says to leave it and a
// function to call at the first text. What run returns is what was seen.
export async function serve(run) {
  const running = new Map(); // an AbortController for each request
  const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, leave, ...request } = JSON.parse(line);
    if (leave) {
      running.get(id)?.abort();
      continue;
    }
    const controller = new AbortController();
    running.set(id, controller);
    let read = false;
    const reading = () => {
      if (!read) {
        read = true;
        print({ id, reading: true });
      }
    };
    void run(request, controller.signal, reading).then((seen) => {
      running.delete(id);
      print({ id, seen });
    });
  }
}

// watched is a fetch that notes each answer: how often a library asks, and what
// it was told, is not to be seen from outside.
export function watched(sent) {
  return async (url, options) => {
    const response = await fetch(url, options);
    const { status, headers } = response;
    sent.push({ status, request_id: headers.get('x-request-id'), dropped: headers.get('x-tollgate-dropped') ?? '' });
    return response;
  };
}
