// LangChain at work, with its model for OpenAI-compatible services. The params
// are an errand: see libraryErrand in library_test.go.
import { getRetryable } from '@langchain/core/errors';
import { HumanMessage, SystemMessage } from '@langchain/core/messages';
import { concat } from '@langchain/core/utils/stream';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { serve, watched } from './lines.mjs';

await serve(async ({ base_url, api_key, params: errand }, signal, reading) => {
  const seen = { steps: [], ran: [], sent: [] };
  const model = new ChatOpenAI({
    model: errand.model, apiKey: api_key, maxRetries: errand.retries,
    ...(errand.most ? { maxTokens: errand.most } : {}),
    ...(errand.frills ? { user: 'somebody' } : {}),
    configuration: { baseURL: base_url, fetch: watched(seen.sent) },
  });
  try {
    if (errand.object) {
      await object(model, errand, signal, seen);
    } else {
      await talk(model, errand, signal, seen, reading);
    }
  } catch (error) {
    seen.failure = describe(error);
  }
  return seen;
});

function messages(errand) {
  const content = [{ type: 'text', text: errand.prompt }];
  if (errand.image) {
    content.push({ type: 'image_url', image_url: { url: errand.image, ...(errand.frills ? { detail: 'low' } : {}) } });
  }
  const asked = new HumanMessage({
    content: errand.image ? content : errand.prompt,
    ...(errand.frills ? { name: 'somebody' } : {}),
  });
  return errand.system ? [new SystemMessage(errand.system), asked] : [asked];
}

// talk asks, runs the tool that is called, and tells the result, so many times.
async function talk(model, errand, signal, seen, reading) {
  const said = messages(errand);
  const weather = tool(
    async (input) => {
      seen.ran.push(JSON.stringify(input));
      return { place: input.place, weather: 'Sunny, 21 degrees' };
    },
    { name: 'get_weather', description: 'The weather at a place', schema: z.object({ place: z.string() }) },
  );
  if (errand.turns) {
    model = model.bindTools([weather], errand.frills ? { strict: true, parallel_tool_calls: false } : {});
  }
  for (let turn = 1; ; turn++) {
    const step = { text: '', calls: [] };
    seen.steps.push(step);
    const answer = errand.stream ? await streamed(model, said, signal, step, reading) : await model.invoke(said, { signal });
    step.text = answer.text;
    end(step, answer);
    said.push(answer);
    for (const call of answer.tool_calls) {
      said.push(await weather.invoke(call));
    }
    if (answer.tool_calls.length === 0 || turn >= errand.turns) {
      return;
    }
  }
}

async function streamed(model, said, signal, step, reading) {
  let whole;
  for await (const chunk of await model.stream(said, { signal })) {
    if (chunk.text !== '') {
      reading();
    }
    step.text += chunk.text;
    whole = whole ? concat(whole, chunk) : chunk;
  }
  return whole;
}

async function object(model, errand, signal, seen) {
  const schema = z.object({ place: z.string(), degrees: z.number() });
  const structured = model.withStructuredOutput(schema, { name: 'weather', method: errand.object, includeRaw: true });
  const { raw, parsed } = await structured.invoke(messages(errand), { signal });
  seen.object = parsed;
  seen.steps.push(end({ text: raw.text }, raw));
}

// end notes how a step has ended.
function end(step, { response_metadata, tool_calls, usage_metadata: usage }) {
  step.finish = response_metadata.finish_reason;
  step.calls = tool_calls.map(({ name, args }) => ({ name, arguments: JSON.stringify(args) }));
  step.usage = usage && {
    prompt_tokens: usage.input_tokens, completion_tokens: usage.output_tokens, total_tokens: usage.total_tokens,
    cached_tokens: usage.input_token_details?.cache_read, reasoning_tokens: usage.output_token_details?.reasoning,
  };
  return step;
}

function describe(error) {
  return {
    class: error.name === 'AbortError' ? error.name : error.constructor.name,
    message: error.message,
    status: error.status,
    code: typeof error.code === 'string' ? error.code : undefined, // of an AbortError it is a number
    param: error.param ?? undefined,
    retryable: getRetryable(error) ?? true, // what is not said is left to the program
    retry_after: error.headers?.get('retry-after') ?? undefined,
  };
}
