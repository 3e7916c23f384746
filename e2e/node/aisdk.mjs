// The AI SDK at work, with its provider for OpenAI-compatible services. The
// params are an errand: see libraryErrand in library_test.go.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';
import { serve, watched } from './lines.mjs';

await serve(async ({ base_url, api_key, params: errand }, signal, reading) => {
  const seen = { steps: [], ran: [], sent: [] };
  const provider = createOpenAICompatible({
    name: 'tollgate', baseURL: base_url, apiKey: api_key, fetch: watched(seen.sent),
    includeUsage: true, supportsStructuredOutputs: true,
  });
  const call = { ...wish(errand, seen), model: provider(errand.model), maxRetries: errand.retries, abortSignal: signal };
  try {
    if (errand.object) {
      await (errand.stream ? streamedObject : object)(call, seen);
    } else {
      await (errand.stream ? streamed : plain)(call, seen, reading);
    }
  } catch (error) {
    seen.failure = describe(error);
  }
  return seen;
});

// wish is the errand in the words of the library.
function wish(errand, seen) {
  const content = [{ type: 'text', text: errand.prompt }];
  if (errand.image) {
    content.push({ type: 'image', image: errand.image });
  }
  const call = { messages: [{ role: 'user', content }] };
  if (errand.system) {
    call.system = errand.system;
  }
  if (errand.most) {
    call.maxOutputTokens = errand.most;
  }
  if (errand.object) {
    call.schema = z.object({ place: z.string(), degrees: z.number() });
    call.schemaName = 'weather';
  }
  if (errand.turns) {
    call.tools = { get_weather: weather(errand, seen) };
    call.stopWhen = stepCountIs(errand.turns);
  }
  if (errand.frills) {
    call.providerOptions = { tollgate: { user: 'somebody', parallel_tool_calls: false } };
  }
  return call;
}

function weather(errand, seen) {
  return tool({
    description: 'The weather at a place',
    inputSchema: z.object({ place: z.string() }),
    ...(errand.frills ? { strict: true } : {}),
    execute: async (input) => {
      seen.ran.push(JSON.stringify(input));
      return { place: input.place, weather: 'Sunny, 21 degrees' };
    },
  });
}

async function plain(call, seen) {
  const { steps } = await generateText(call);
  for (const step of steps) {
    seen.steps.push(end({ text: step.text, calls: step.toolCalls.map(called) }, step));
  }
}

// The loop over all parts of a stream, as the library's manual shows it.
async function streamed(call, seen, reading) {
  const { fullStream } = streamText({ ...call, onError: () => {} }); // the errors are parts as well
  let step;
  for await (const part of fullStream) {
    switch (part.type) {
      case 'start-step':
        seen.steps.push((step = { text: '', calls: [] }));
        break;
      case 'text-delta':
        reading();
        step.text += part.text;
        break;
      case 'tool-call':
        step.calls.push(called(part));
        break;
      case 'finish-step':
        end(step, part);
        break;
      case 'abort':
        seen.failure = { class: 'abort' };
        break;
      case 'error':
      case 'tool-error':
        seen.failure = describe(part.error);
        break;
    }
  }
}

async function object(call, seen) {
  const result = await generateObject(call);
  seen.object = result.object;
  const [{ message }] = result.response.body.choices; // the text itself is in the body alone
  seen.steps.push(end({ text: message.content, calls: [] }, result));
}

async function streamedObject(call, seen) {
  let failure;
  const result = streamObject({ ...call, onError: ({ error }) => (failure = error) });
  let text = '';
  for await (const part of result.textStream) {
    text += part;
  }
  if (failure) {
    throw failure;
  }
  seen.object = await result.object;
  seen.steps.push(end({ text, calls: [] }, { usage: await result.usage, finishReason: await result.finishReason }));
}

function called({ toolName, input }) {
  return { name: toolName, arguments: JSON.stringify(input) };
}

// end notes how a step has ended.
function end(step, { finishReason, usage }) {
  step.finish = finishReason;
  step.usage = {
    prompt_tokens: usage.inputTokens, completion_tokens: usage.outputTokens, total_tokens: usage.totalTokens,
    cached_tokens: usage.inputTokenDetails.cacheReadTokens, reasoning_tokens: usage.outputTokenDetails.reasoningTokens,
  };
  return step;
}

function describe(error) {
  const last = error.lastError ?? error; // of a request that was repeated in vain
  return {
    class: error.name,
    message: error.message ?? JSON.stringify(error),
    status: last.statusCode,
    code: last.data?.error.code ?? (typeof error.code === 'string' ? error.code : undefined), // of an AbortError it is a number
    param: last.data?.error.param ?? undefined,
    retryable: last.isRetryable,
    retry_after: last.responseHeaders?.['retry-after'],
  };
}
