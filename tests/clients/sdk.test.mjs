// sdk.test.mjs -- the official `openai` SDK against a running gateway.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { startGateway, until } from './gateway.mjs';

let gateway, client;
const hello = [{ role: 'user', content: 'Hello' }];
const chat = (fields, sim, options = {}) => client.chat.completions.create(
  { model: 'sim', messages: hello, ...fields },
  { headers: sim ? { 'x-sim': sim } : {}, ...options });

// What a call that must fail throws.
async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('it did not throw');
}

before(async () => {
  gateway = await startGateway();
  client = new OpenAI({ baseURL: gateway.url, apiKey: 'sk-test', maxRetries: 0, timeout: 60000 });
});
after(async () => {
  const alive = gateway?.alive();
  await gateway?.stop();
  assert.ok(alive, 'the gateway died during the tests');
});

test('chat', async () => {
  const answer = await chat({}, 'text="Hi there"');
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.equal(answer.choices[0].message.content, 'Hi there');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.ok(answer.usage.total_tokens > 0);
  assert.ok(answer._request_id, 'x-request-id is there');
});

test('chat: headers of the response', async () => {
  const { response } = await chat({}).withResponse();
  assert.equal(response.headers.get('x-perilune-upstream'), 'sim');
  assert.match(response.headers.get('content-type'), /^application\/json/);
});

test('text that is not ASCII survives both ways', async () => {
  const text = 'Grüße, 你好, \u{1F600} "quoted" \\ \n\u2028';
  const answer = await chat({ messages: [{ role: 'user', content: text }] }, 'echo');
  assert.equal(answer.choices[0].message.content, text);
});

test('stream', async () => {
  let text = '', chunks = 0, reason;
  for await (const chunk of await chat({ stream: true }, 'tokens=12')) {
    assert.equal(chunk.choices.length, 1, 'no usage chunk for a client that did not ask');
    assert.ok(!chunk.usage);
    text += chunk.choices[0].delta.content ?? '';
    reason = chunk.choices[0].finish_reason ?? reason;
    chunks += 1;
  }
  assert.ok(text.length > 0);
  assert.ok(chunks >= 12);
  assert.equal(reason, 'stop');
});

test('stream: the first token comes before the last', async () => {
  let text = '';
  for await (const chunk of await chat({ stream: true }, 'tokens=10,stall=3')) { // the fourth never comes
    text += chunk.choices[0].delta.content ?? '';
    if (text) break;
  }
  assert.ok(text);
});

test('stream: usage for a client that asks', async () => {
  let usage, after = 0;
  for await (const chunk of await chat(
    { stream: true, stream_options: { include_usage: true } }, 'tokens=7')) {
    if (usage) after += 1;
    if (chunk.usage) {
      usage = chunk.usage;
      assert.equal(chunk.choices.length, 0);
    }
  }
  assert.equal(usage.completion_tokens, 7);
  assert.equal(usage.total_tokens, usage.prompt_tokens + 7);
  assert.equal(after, 0);
});

test('stream: byte by byte from the upstream', async () => {
  const want = 'naïve \u{1F600} café';
  let text = '';
  for await (const chunk of await chat(
    { stream: true, messages: [{ role: 'user', content: want }] }, 'echo,split=1')) {
    text += chunk.choices[0].delta.content ?? '';
  }
  assert.equal(text, want);
});

test('stream: CRLF and comments', async () => {
  let n = 0;
  for await (const chunk of await chat({ stream: true }, 'tokens=5,crlf,comments')) {
    n += chunk.choices[0].delta.content ? 1 : 0;
  }
  assert.equal(n, 5);
});

const tools = [{
  type: 'function',
  function: { name: 'get_weather', description: 'The weather.',
              parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}];

test('tools', async () => {
  const answer = await chat({ tools }, 'tool_call');
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'get_weather');
  assert.equal(typeof JSON.parse(call.function.arguments), 'object');
});

test('tools: the second turn goes through untouched', async () => {
  const answer = await chat({ tools, messages: [
    ...hello,
    { role: 'assistant', content: null, tool_calls: [
      { id: 'c1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Bonn"}' } }] },
    { role: 'tool', tool_call_id: 'c1', content: '21 degrees' },
    { role: 'user', content: 'And?' },
  ] }, 'echo');
  assert.equal(answer.choices[0].message.content, 'And?');
});

test('tools: in a stream', async () => {
  let args = '', name, reason;
  for await (const chunk of await chat({ tools, stream: true }, 'tool_call')) {
    const call = chunk.choices[0].delta.tool_calls?.[0];
    name = call?.function?.name ?? name;
    args += call?.function?.arguments ?? '';
    reason = chunk.choices[0].finish_reason ?? reason;
  }
  assert.equal(name, 'get_weather');
  assert.equal(typeof JSON.parse(args), 'object');
  assert.equal(reason, 'tool_calls');
});

for (const [status, type] of [
  [400, OpenAI.BadRequestError], [401, OpenAI.AuthenticationError],
  [403, OpenAI.PermissionDeniedError], [404, OpenAI.NotFoundError],
  [409, OpenAI.ConflictError], [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
]) {
  for (const stream of [false, true]) {
    test(`errors: ${status} upstream${stream ? ', streaming' : ''}`, async () => {
      const error = await failure(chat({ stream }, `status=${status}`));
      assert.ok(error instanceof type, `${error.constructor.name}: ${error.message}`);
      assert.ok(error.status === status || (status === 500 && error.status === 502));
      assert.ok(error.requestID, 'x-request-id is there');
      assert.equal(typeof error.error?.message, 'string');
    });
  }
}

test('errors: Retry-After of a 429 comes through', async () => {
  const error = await failure(chat({}, 'status=429,retry_after=3'));
  assert.equal(error.headers.get('retry-after'), '3');
});

test('errors: an unknown model', async () => {
  const error = await failure(chat({ model: 'no-such-model' }));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
  assert.match(error.message, /sim/);
});

test('errors: a request without messages', async () => {
  const error = await failure(client.chat.completions.create({ model: 'sim' }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, 'messages');
});

test('errors: the upstream dies before it answers', async () => {
  const error = await failure(chat({}, 'cut_head'));
  assert.ok(error instanceof OpenAI.InternalServerError);
  assert.equal(error.status, 502);
});

test('errors: a stream that is cut does not end cleanly', async () => {
  let chunks = 0;
  const error = await failure((async () => {
    for await (const _ of await chat({ stream: true }, 'tokens=20,cut=5')) chunks += 1;
  })());
  assert.ok(error instanceof OpenAI.APIError, error.constructor.name);
  assert.ok(chunks >= 1 && chunks < 20);
});

test('errors: an error inside of a stream', async () => {
  const error = await failure((async () => {
    for await (const _ of await chat({ stream: true }, 'tokens=20,error_event=3'));
  })());
  assert.ok(error instanceof OpenAI.APIError, error.constructor.name);
});

async function cancelledBy(action) {
  const { cancelled } = await gateway.stats();
  await action();
  await until('the upstream saw the cancel',
    async () => (await gateway.stats()).cancelled > cancelled);
}

test('abort in the middle of a stream', async () => {
  await cancelledBy(async () => {
    const stream = await chat({ stream: true }, 'endless,itl_ms=10');
    let n = 0;
    for await (const _ of stream) if (++n === 3) break; // breaking aborts
  });
});

test('abort by the controller', async () => {
  await cancelledBy(async () => {
    const stream = await chat({ stream: true }, 'endless,itl_ms=10');
    const error = failure((async () => {
      let n = 0;
      for await (const _ of stream) if (++n === 3) stream.controller.abort();
      throw new Error('ended');
    })());
    await error;
  });
});

// Runs a call that is aborted once the upstream has it; says how it ended.
async function abortedCall(fields, sim) {
  const { requests } = await gateway.stats();
  const controller = new AbortController();
  const call = (async () => {
    const answer = await chat(fields, sim, { signal: controller.signal });
    if (fields.stream) for await (const _ of answer);
    return 'ended';
  })().catch((error) => error);
  await until('the upstream has it', async () => (await gateway.stats()).requests > requests);
  controller.abort();
  return call;
}

test('abort before the first token', async () => {
  await cancelledBy(() => abortedCall({ stream: true }, 'ttft_ms=60000'));
});

test('abort of a request that does not stream', async () => {
  await cancelledBy(async () => {
    const error = await abortedCall({}, 'delay_ms=60000');
    assert.ok(error instanceof OpenAI.APIUserAbortError, String(error));
  });
});

test('a client timeout cancels upstream', async () => {
  await cancelledBy(async () => {
    const error = await failure(chat({}, 'delay_ms=60000', { timeout: 1000 }));
    assert.ok(error instanceof OpenAI.APIConnectionTimeoutError);
  });
});

test('embeddings', async () => {
  const answer = await client.embeddings.create(
    { model: 'sim', input: ['one', 'two'], encoding_format: 'float' });
  assert.equal(answer.data.length, 2);
  assert.equal(answer.data[1].index, 1);
  assert.equal(typeof answer.data[0].embedding[0], 'number');
});

test('embeddings: as the SDK asks by default (base64)', async () => {
  const answer = await client.embeddings.create({ model: 'sim', input: 'one' });
  assert.ok(answer.data[0].embedding.length > 0);
  assert.equal(typeof answer.data[0].embedding[0], 'number');
});

test('models', async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    assert.equal(model.object, 'model');
    ids.push(model.id);
  }
  assert.ok(ids.includes('sim') && ids.includes('flaky'), ids.join());
});

test('retries: the SDK repeats what the gateway calls retryable', async () => {
  gateway.flaky.calls = 0;
  gateway.flaky.script = [
    { status: 503, headers: { 'retry-after': '0' }, body: { error: { message: 'busy', type: 'server_error' } } },
    { status: 429, headers: { 'retry-after': '0' }, body: { error: { message: 'slow', type: 'rate_limit' } } },
    {},
  ];
  const answer = await chat({ model: 'flaky' }, undefined, { maxRetries: 3 });
  assert.equal(answer.choices[0].message.content, 'at last');
  assert.equal(gateway.flaky.calls, 3);
});

test('retries: a 400 is not repeated', async () => {
  gateway.flaky.calls = 0;
  gateway.flaky.script = [{ status: 400, body: { error: { message: 'no', type: 'invalid_request_error' } } }];
  const error = await failure(chat({ model: 'flaky' }, undefined, { maxRetries: 3 }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(gateway.flaky.calls, 1);
});

test('fifty streams at once', async () => {
  const totals = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    let n = 0;
    for await (const chunk of await chat({ stream: true }, `tokens=${10 + i},itl_ms=1`)) {
      n += chunk.choices[0].delta.content ? 1 : 0;
    }
    return n;
  }));
  totals.forEach((n, i) => assert.equal(n, 10 + i));
});

test('the key of a client is not logged', () => {
  assert.ok(!gateway.log().includes('sk-test'));
});
