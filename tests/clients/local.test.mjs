// local.test.mjs -- the official `openai` SDK against a model inside of the gateway, where there is one.
//
// PERILUNE_LLAMA: the folder of libllama; PERILUNE_TEST_MODEL: a small GGUF file that answers chats and has no template
// for tools (SmolLM2-135M-Instruct).  It is served twice: with its own template, and with Qwen's, which knows tools and
// thoughts.  What such a small model says is of no matter; that it has the form that was asked for is.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import OpenAI from 'openai';
import { serve } from './gateway.mjs';

const library = process.env.PERILUNE_LLAMA, model = process.env.PERILUNE_TEST_MODEL;
const options = { skip: !library || !model ? 'no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL)' : false };
const templates = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../local/jinja/templates');
let dir, gateway, client;

before(async () => {
  if (options.skip) return;
  dir = mkdtempSync(join(tmpdir(), 'perilune-local.'));
  const engine = `model = "${resolve(model)}", library = "${resolve(library)}", threads = 1, context = 4096`;
  gateway = await serve(dir, `upstreams = {
    plain = { engine = { ${engine} } },
    qwen = { engine = { ${engine}, thinking = false, template = "${join(templates, 'qwen3.jinja')}" } } },`);
  client = new OpenAI({ baseURL: gateway.url, apiKey: 'sk-test', maxRetries: 0, timeout: 60000 });
});
after(async () => {
  const alive = gateway?.alive() ?? true;
  gateway?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
  assert.ok(alive, 'the gateway died during the tests');
});

const ask = (fields) => client.chat.completions.create(
  { model: 'plain', seed: 1, max_tokens: 80, messages: [{ role: 'user', content: 'What is the weather in Paris?' }], ...fields });
const parameters = {
  type: 'object', properties: { city: { $ref: '#/$defs/city' }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'], additionalProperties: false, $defs: { city: { enum: ['Paris', 'Rome', '北京'] } },
};
const tools = [
  { type: 'function', function: { name: 'get_weather', description: 'The weather.', parameters } },
  { type: 'function', function: { name: 'now', description: 'The time.' } },
];
const json_schema = { name: 'weather', strict: true, schema: parameters };

function check(value) {
  assert.deepEqual(Object.keys(value), ['city', 'days']);
  assert.ok(['Paris', 'Rome', '北京'].includes(value.city) && value.days >= 1 && value.days <= 9);
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('it did not throw');
}

// What the chunks of a stream make, by choice.
async function gather(stream) {
  const choices = [];
  for await (const chunk of stream) {
    for (const { index, delta, finish_reason, logprobs } of chunk.choices) {
      const c = choices[index] ??= { content: '', thought: '', calls: [], tokens: [] };
      c.content += delta.content ?? '';
      c.thought += delta.reasoning_content ?? '';
      for (const call of delta.tool_calls ?? []) c.calls[call.index] = call;
      c.tokens.push(...(logprobs?.content ?? []));
      c.reason = finish_reason ?? c.reason;
    }
  }
  return choices;
}

test('a schema rules the answer, whole and streamed', options, async () => {
  const answer = await ask({ response_format: { type: 'json_schema', json_schema } });
  check(JSON.parse(answer.choices[0].message.content));
  assert.equal(answer.choices[0].finish_reason, 'stop');
  const [streamed] = await gather(await ask({ stream: true, response_format: { type: 'json_schema', json_schema } }));
  assert.equal(streamed.content, answer.choices[0].message.content);
});

test('a schema, two answers and logprobs together', options, async () => {
  const choices = await gather(await ask({ stream: true, n: 2, logprobs: true, top_logprobs: 2,
    response_format: { type: 'json_schema', json_schema } }));
  assert.equal(choices.length, 2);
  for (const c of choices) {
    check(JSON.parse(c.content));
    assert.equal(c.tokens.map((t) => t.token).join(''), c.content);
    assert.ok(c.tokens.every((t) => t.logprob <= 0 && t.top_logprobs.length === 2));
  }
});

test('any object', options, async () => {
  const answer = await ask({ max_tokens: 100, temperature: 0, response_format: { type: 'json_object' } });
  if (answer.choices[0].finish_reason === 'stop') JSON.parse(answer.choices[0].message.content);
  assert.match(answer.choices[0].message.content, /^\{/);
});

test('a schema that is no grammar is refused by name', options, async () => {
  const error = await failure(ask({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {
    type: 'object', properties: { a: { type: 'integer', multipleOf: 3 } } } } } }));
  assert.equal(error.status, 400);
  assert.equal(error.param, 'response_format');
  assert.match(error.message, /'multipleOf' at "\/properties\/a"/);
});

test('tools: what must be called is, whole and streamed', options, async () => {
  const fields = { model: 'qwen', tools, tool_choice: { type: 'function', function: { name: 'get_weather' } } };
  const answer = await ask(fields);
  const { message, finish_reason } = answer.choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  assert.equal(message.tool_calls.length, 1);
  assert.equal(message.tool_calls[0].function.name, 'get_weather');
  check(JSON.parse(message.tool_calls[0].function.arguments));
  const [streamed] = await gather(await ask({ ...fields, stream: true }));
  assert.deepEqual(streamed.calls[0].function, message.tool_calls[0].function);
  assert.equal(streamed.reason, 'tool_calls');
});

test('tools: required, two answers, what came of a call', options, async () => {
  const answer = await ask({ model: 'qwen', tools, tool_choice: 'required', parallel_tool_calls: false, n: 2 });
  const ids = answer.choices.map((c) => c.message.tool_calls[0].id);
  assert.equal(new Set(ids).size, 2);
  const next = await ask({ model: 'qwen', tools, max_tokens: 8, messages: [
    { role: 'user', content: 'What is the weather in Paris?' }, answer.choices[0].message,
    { role: 'tool', tool_call_id: ids[0], content: 'Sunny' }] });
  assert.ok(next.usage.prompt_tokens > answer.usage.prompt_tokens);
});

test('tools: a template that knows none', options, async () => {
  const error = await failure(ask({ tools }));
  assert.equal(error.status, 400);
  assert.equal(error.param, 'tools');
  const answer = await ask({ tools, tool_choice: 'none', max_tokens: 4 });
  assert.equal(answer.choices[0].finish_reason, 'length');
});

test('thoughts come apart', options, async () => {
  const messages = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: '<think>\nThe user says hi' }];
  const [c] = await gather(await ask({ model: 'qwen', stream: true, max_tokens: 12, messages }));
  assert.ok(c.thought.length > 0);
  assert.equal(c.content, '');
});

test('an answer that is begun goes on', options, async () => {
  const answer = await ask({ temperature: 0, max_tokens: 6, messages: [
    { role: 'user', content: 'Count to ten.' }, { role: 'assistant', content: 'one, two, three,' }] });
  assert.match(answer.choices[0].message.content, /^ four, five/);
});

test('control tokens in what a user writes are letters', options, async () => {
  const count = async (content) => (await ask({ max_tokens: 1, messages: [{ role: 'user', content }] })).usage.prompt_tokens;
  const control = await count('<|im_end|>'), letters = await count('<|im_enx|>');
  assert.ok(Math.abs(control - letters) <= 1, `${control} tokens, and ${letters} for letters`);
});

test('a stop string, over tokens', options, async () => {
  const fields = { temperature: 0, max_tokens: 40, messages: [
    { role: 'user', content: 'Count to ten.' }, { role: 'assistant', content: 'one, two, three,' }] };
  const answer = await ask({ ...fields, stop: ['ve, si'] });
  assert.equal(answer.choices[0].message.content, ' four, fi');
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

test('an answer and its stream say the same, with all members of the type', options, async () => {
  const fields = { temperature: 0, max_tokens: 20, n: 2 };
  const answer = await ask(fields);
  for (const c of answer.choices) {
    assert.equal(c.logprobs, null);
    assert.equal(c.message.refusal, null);
  }
  const stream = await ask({ ...fields, stream: true, stream_options: { include_usage: true } });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const usage = chunks.at(-1).usage;
  assert.equal(usage.completion_tokens, answer.usage.completion_tokens);
  const said = (i) => chunks.flatMap((c) => c.choices).filter((c) => c.index === i).map((c) => c.delta.content ?? '').join('');
  assert.deepEqual([said(0), said(1)], answer.choices.map((c) => c.message.content));
});

test('a stream that is aborted frees its place', options, async () => {
  for (let i = 0; i < 12; i++) {
    const stream = await ask({ stream: true, max_tokens: 1500, logit_bias: { 0: -100, 2: -100 } });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break; // leaving the loop aborts
    }
  }
  assert.equal((await ask({ max_tokens: 1 })).usage.completion_tokens, 1);
});
