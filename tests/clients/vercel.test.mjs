// vercel.test.mjs -- the Vercel AI SDK: direct and through the gateway.
//
// With its three dialects: OpenAI's responses (the default of @ai-sdk/openai), OpenAI's
// chats, and chats of "compatible" servers.

import assert from 'node:assert/strict';
import { generateText, streamText, embedMany, tool, jsonSchema, Output, APICallError, RetryError } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { compare, givesUp, retold, through } from './compare.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = (baseURL) => createOpenAI({ baseURL, apiKey: 'sk-test' });
const compatible = (options) => (baseURL) =>
  createOpenAICompatible({ name: 'up', baseURL, apiKey: 'sk-test', supportsStructuredOutputs: true, ...options });

const dialects = {
  responses: (url, script) => openai(url)(script),
  chat: (url, script) => openai(url).chat(script),
  compatible: (url, script) => compatible({ includeUsage: true })(url)(script),
  'compatible without usage': (url, script) => compatible({})(url)(script),
};

const weather = jsonSchema({ type: 'object', required: ['city', 'degrees', 'sky'], additionalProperties: false,
  properties: { city: { type: 'string' }, degrees: { type: 'number' }, sky: { type: 'string' } } });
const tools = { get_weather: tool({ description: 'The weather.',
  inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }) }) };

// -- One way to say what came -----------------------------------------------------------------

// What programs look at when a call fails; after retries, of the last try.
function failure(error) {
  let last = RetryError.isInstance(error) ? error.lastError : error;
  last = last?.type === 'error' ? last.error ?? last : last; // an event of a stream of responses
  const api = APICallError.isInstance(last);
  return { name: error.name, last: last?.name ?? typeof last, message: last?.message ?? last,
    ...(api ? { status: last.statusCode, retryable: last.isRetryable } : {}) };
}

const answerOf = ({ text, reasoningText, toolCalls, finishReason, rawFinishReason, usage, providerMetadata }) => ({
  text, reasoningText, toolCalls, finishReason, rawFinishReason, usage, providerMetadata });

// Neighbouring deltas of a part are one: how a text was cut is not compared. Before an error the
// last word goes, because a map holds it back until it is whole.
function joined(parts) {
  const out = [];
  for (const part of parts) {
    const { type, id, text, delta } = part, last = out.at(-1);
    if (type.endsWith('-delta') && last?.type === type && last.id === id) {
      if (text != null) last.text += text;
      if (delta != null) last.delta += delta;
    } else {
      if (type === 'error' && last?.type === 'text-delta') last.text = last.text.replace(/\S+$/, '');
      out.push({ ...part });
    }
  }
  return out;
}

// A map keeps what each text says and not which of them says it first: the last word of one comes when it
// is known to be whole, which may be behind other parts.  So each is one part, where it began.  Log
// probabilities are left out.
function mapped(result) {
  const { saw } = result, kept = [], first = {};
  if (saw.providerMetadata?.openai) delete saw.providerMetadata.openai.logprobs;
  for (const part of saw.parts ?? []) {
    const { type, text } = part, kind = /^(text|reasoning)-(start|delta|end)$/.exec(type);
    if (part.providerMetadata?.openai) delete part.providerMetadata.openai.logprobs;
    if (kind?.[2] === 'end') continue;
    if (kind && first[type]) {
      if (text != null) first[type].text += text;
      continue;
    }
    if (kind) first[type] = part;
    kept.push(part);
  }
  return saw.parts ? { ...result, saw: { ...saw, parts: kept } } : result;
}

// A part of a stream, without times and identifiers that the SDK makes up, and without what was sent.
function partOf({ request, response, warnings, messageId, ...part }) {
  if (part.type === 'error') return { type: 'error', error: failure(part.error) };
  return response ? { ...part, model: response.modelId } : part;
}

const common = { prompt: 'Hello, Grüße', maxRetries: 2 };

async function generate(model, fields) {
  try {
    const result = await generateText({ model, ...common, ...fields });
    return { ...answerOf(result), ...(fields?.output ? { output: result.output } : {}) };
  } catch (error) {
    return { error: failure(error) };
  }
}

async function stream(model, fields) {
  const parts = [];
  const result = streamText({ model, ...common, ...fields, onError() {} });
  for await (const part of result.fullStream) parts.push(partOf(part));
  return { parts: joined(parts) };
}

// -- Answers --------------------------------------------------------------------------------------

const scripts = {
  responses: ['chat', 'tools', 'busy'],
  chat: ['chat', 'empty', 'length', 'filtered', 'tools', 'texttools', 'logprobs', 'slow', 'azure', 'ragged', 'echo',
    'busy'],
  compatible: ['chat', 'tools', 'texttools', 'reasoning', 'length', 'slow', 'ragged', 'echo', 'busy'],
  'compatible without usage': ['chat', 'tools', 'reasoning'],
};

for (const [dialect, names] of Object.entries(scripts)) {
  for (const script of names) {
    const fields = script.includes('tools') ? { tools } : script === 'echo' ? { temperature: 0.5, seed: 7 } : {};
    compare(`${dialect}: ${script}`, (url) => generate(dialects[dialect](url, script), fields), undefined,
      mapped);
    compare(`${dialect}: ${script}, stream`, (url) => stream(dialects[dialect](url, script), fields), undefined,
      mapped);
  }
}

for (const dialect of ['responses', 'chat', 'compatible']) {
  const output = Output.object({ schema: weather });
  compare(`${dialect}: structured`, (url) => generate(dialects[dialect](url, 'structured'), { output }));
  compare(`${dialect}: structured, stream`, async (url) => {
    const result = streamText({ model: dialects[dialect](url, 'structured'), ...common, output });
    let last;
    for await (const partial of result.partialOutputStream) last = partial;
    return { last, whole: await result.output };
  });
}

for (const [name, provider] of [['openai', openai], ['compatible', compatible({})]]) {
  compare(`${name}: embeddings`, async (url) => {
    const model = provider(url).textEmbeddingModel('embed');
    const { embeddings, usage } = await embedMany({ model, values: ['one', 'two'] });
    return { embeddings, usage };
  });
}

// -- Errors -----------------------------------------------------------------------------------------

const errors = ['e400', 'e400_context', 'e401', 'e403', 'e404', 'e429', 'e429_quota', 'e500', 'e503'];
for (const dialect of ['responses', 'chat', 'compatible'])
  for (const script of errors)
    compare(`${dialect}: ${script}`, (url) => generate(dialects[dialect](url, script),
      { maxRetries: script === 'e429_quota' ? 0 : 1 }), retold(script)); // its pause is not named, and takes seconds

const told = (script) => (direct) => {
  for (const part of direct.saw.parts) if (part.error) retold(script)({ saw: part });
  return direct;
};
for (const dialect of ['responses', 'chat', 'compatible']) {
  for (const script of ['e400', 'e401', 'e429_quota', 'e500'])
    compare(`${dialect}: ${script}, stream`,
      (url) => stream(dialects[dialect](url, script), { maxRetries: 0 }), told(script));
  compare(`${dialect}: errorevent, stream`, (url) => stream(dialects[dialect](url, 'errorevent'), { maxRetries: 0 }));
  through(`${dialect}: cut, stream`, async (url) => { // direct, it throws
    const { parts } = await stream(dialects[dialect](url, 'cut'), { maxRetries: 0 });
    assert.match(parts.find(({ type }) => type === 'error').error.message,
      /^the upstream failed: it closed the connection before the answer was complete$/);
    assert.equal(parts.at(-1).finishReason, 'error');
  });
}

// -- Leaving ------------------------------------------------------------------------------------------

for (const dialect of ['responses', 'chat', 'compatible']) {
  givesUp(`${dialect}: aborted before the answer`, async (url, asked) => {
    const controller = new AbortController();
    const call = generateText({ model: dialects[dialect](url, 'hang'), ...common, abortSignal: controller.signal });
    await asked();
    controller.abort();
    await assert.rejects(call, { name: 'AbortError' });
  });
  for (const script of ['hang', 'endless']) {
    givesUp(`${dialect}: aborted in a stream, ${script}`, async (url, asked) => {
      const controller = new AbortController();
      const { fullStream } = streamText({ model: dialects[dialect](url, script), ...common,
        abortSignal: controller.signal, onError() {} });
      const parts = (async () => { for await (const part of fullStream) if (part.type === 'abort') return true; })();
      await asked();
      controller.abort();
      assert.ok(await parts);
    });
  }
}
