// The official client for Node at work, for tests that are written in Go.
//
// Requests come in on standard input, one JSON object a line:
//
//	{"id":1,"base_url":"...","api_key":"...","params":{...}}   ask; params are those of the client
//	{"id":1,"leave":true}                                      abort what was asked
//
// and lines go out on standard output: {"id":1,"reading":true} when a stream's
// first text has come, and {"id":1,"seen":{...}} when the request has ended.
// Many may run at once. The process ends with its standard input.
import OpenAI from 'openai';
import { createInterface } from 'node:readline';

const running = new Map(); // an AbortController for each request
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.leave) {
    running.get(request.id)?.abort();
  } else {
    void run(request);
  }
}

async function run({ id, base_url, api_key, params }) {
  const client = new OpenAI({ baseURL: base_url, apiKey: api_key, maxRetries: 0, timeout: 30_000, logLevel: 'off' });
  const controller = new AbortController();
  running.set(id, controller);
  const seen = { text: '', calls: [], usages: 0 };
  try {
    const asked = client.chat.completions.create(params, { signal: controller.signal });
    const { data, request_id } = await asked.withResponse();
    seen.request_id = request_id;
    if (params.stream) {
      await readStream(data, seen, () => print({ id, reading: true }));
    } else {
      readAnswer(data, seen);
    }
  } catch (error) {
    seen.request_id ??= error.requestID;
    seen.failure = describe(error);
  }
  running.delete(id);
  print({ id, seen });
}

function readAnswer(completion, seen) {
  const [{ message, finish_reason }] = completion.choices;
  seen.text = message.content ?? '';
  seen.finish = finish_reason;
  // StarMagic's page shows tool_calls: [null] where nothing is called.
  seen.calls = (message.tool_calls ?? []).filter(Boolean).map((call) => call.function);
  noteUsage(completion.usage, seen);
}

// The plain loop over chunks, as the client's manual shows it. It knows an end
// of the stream and an exception, and nothing between.
async function readStream(chunks, seen, reading) {
  for await (const chunk of chunks) {
    noteUsage(chunk.usage, seen);
    for (const { delta, finish_reason } of chunk.choices) {
      if (delta.content && seen.text === '') {
        reading();
      }
      seen.text += delta.content ?? '';
      seen.finish = finish_reason ?? seen.finish;
      for (const { index, function: part } of delta.tool_calls ?? []) {
        const call = (seen.calls[index] ??= { name: '', arguments: '' });
        call.name += part.name ?? '';
        call.arguments += part.arguments ?? '';
      }
    }
  }
}

function noteUsage(usage, seen) {
  if (usage) {
    seen.usages++;
    seen.usage = usage;
  }
}

function describe(error) {
  return {
    class: error.constructor.name,
    message: error.message,
    status: error.status,
    code: error.code ?? undefined,
    retry_after: error.headers?.get('retry-after') ?? undefined,
  };
}
