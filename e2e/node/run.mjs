// The official client for Node at work. The params are those of the client.
import OpenAI from 'openai';
import { serve } from './lines.mjs';

await serve(async ({ base_url, api_key, params }, signal, reading) => {
  const client = new OpenAI({ baseURL: base_url, apiKey: api_key, maxRetries: 0, timeout: 30_000, logLevel: 'off' });
  const seen = { text: '', calls: [], usages: 0 };
  try {
    const asked = client.chat.completions.create(params, { signal });
    const { data, request_id } = await asked.withResponse();
    seen.request_id = request_id;
    if (params.stream) {
      await readStream(data, seen, reading);
    } else {
      readAnswer(data, seen);
    }
  } catch (error) {
    seen.request_id ??= error.requestID;
    seen.failure = describe(error);
  }
  return seen;
});

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
      if (delta.content) {
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
