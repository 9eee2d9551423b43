// upstream.mjs -- an upstream that says what real ones say, for tests that compare an SDK
// direct with the same SDK through the gateway.
//
// The model's name is the script: `chat`, `tools`, `busy`, ... below. Chat answers are
// written once, as the events of their stream; a request that does not stream gets them
// put together. What came and what was given up is counted, for tests to ask:
//
//   POST /reset   counts begin again at 0
//   GET  /seen    { calls, open, aborted, last: the last body, parsed }

import { createServer } from 'node:http';

const created = 1700000000;

// -- Chat: the deltas of every script ---------------------------------------------------

const say = (...texts) => texts.map((content) => [{ index: 0, delta: { content } }]);
const begin = (...more) => [{ index: 0, delta: { role: 'assistant', content: '', ...more[0] } }];
const end = (finish_reason = 'stop', index = 0) => [{ index, delta: {}, finish_reason }];
const call = (index, id, name, args) => [{ index: 0, delta: { tool_calls: [{
  index, ...(id ? { id, type: 'function' } : {}), function: { ...(name ? { name } : {}), arguments: args } }] } }];
const token = (text, logprob) => ({ token: text, logprob, bytes: [...Buffer.from(text)],
  top_logprobs: [{ token: text, logprob, bytes: [...Buffer.from(text)] }] });
const both = (a, b) => [{ index: 0, delta: a }, { index: 1, delta: b }];

const chats = {
  chat: [begin(), ...say('Hel', 'lo, Gr', 'üße \u{1F600} and', ' 你好', '.\n\nA new', ' line  ', 'ends'), end()],
  empty: [begin(), end()],
  length: [begin(), ...say('This goes', ' on and'), end('length')],
  filtered: [begin(), ...say('I was'), end('content_filter')],
  tools: [begin({ content: null }), call(0, 'call_a', 'get_weather', ''), call(0, null, null, '{"ci'),
    call(0, null, null, 'ty":"Bonn"}'), call(1, 'call_b', 'get_weather', ''), call(1, null, null, '{"city"'),
    call(1, null, null, ':"Köln am Rhein"}'), end('tool_calls')],
  texttools: [begin(), ...say('Let me', ' look'), call(0, 'call_a', 'get_weather', '{"city": '),
    call(0, null, null, '"Bonn"}'), end('tool_calls')],
  n2: [both({ role: 'assistant', content: '' }, { role: 'assistant', content: '' }),
    [{ index: 0, delta: { content: 'One wo' } }], [{ index: 1, delta: { content: 'Two th' } }],
    both({ content: 'rd of' }, { content: 'ings' }), [{ index: 1, delta: { content: ' here' } }],
    end('length', 1), [{ index: 0, delta: { content: ' mine' } }], end()],
  structured: [begin(), ...say('{"ci', 'ty":"Bo', 'nn", "degrees":', ' 21,"sky":"clear', ' \\u00fc\\n\\"blue\\""}'),
    end()],
  reasoning: [begin({ content: null, reasoning_content: '' }), [{ index: 0, delta: { reasoning_content: 'The user' } }],
    [{ index: 0, delta: { reasoning_content: ' greets me' } }], ...say('Good', ' day'), end()],
  refusal: [begin({ content: null, refusal: '' }), [{ index: 0, delta: { refusal: 'I can' } }],
    [{ index: 0, delta: { refusal: 'not do that' } }], end()],
  logprobs: [begin(), ...['Good', ' day', '!'].map((text, i) => [{
    index: 0, delta: { content: text },
    logprobs: { content: [token(text, -0.25 * (i + 1))], refusal: null } }]), end()],
};

const usage = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21,
  prompt_tokens_details: { cached_tokens: 4, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 3, audio_tokens: 0,
    accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 } };

function chunkOf(model, choices) {
  return { id: 'chatcmpl-42', object: 'chat.completion.chunk', created, model, service_tier: 'default',
    system_fingerprint: 'fp_1', choices: choices.map((c) => ({ logprobs: null, finish_reason: null, ...c })) };
}

function mergeCalls(calls, pieces) {
  for (const { index, ...piece } of pieces) {
    const { id, function: { name } } = piece;
    const to = calls[index] ??= { id, type: 'function', function: { name, arguments: '' } };
    to.function.arguments += piece.function.arguments;
  }
}

// A whole answer out of the events of its stream.
function wholeOf(model, events) {
  const choices = [];
  for (const { index, delta, logprobs, finish_reason } of events.flat()) {
    const choice = choices[index] ??= { index, message: { role: 'assistant', content: null, refusal: null },
      logprobs: null, finish_reason: null };
    for (const name of ['content', 'reasoning_content', 'refusal'])
      if (delta[name] != null) choice.message[name] = (choice.message[name] ?? '') + delta[name];
    if (delta.tool_calls) mergeCalls(choice.message.tool_calls ??= [], delta.tool_calls);
    if (logprobs) (choice.logprobs ??= { content: [], refusal: null }).content.push(...logprobs.content);
    choice.finish_reason = finish_reason ?? choice.finish_reason;
  }
  return { id: 'chatcmpl-42', object: 'chat.completion', created, model, service_tier: 'default',
    system_fingerprint: 'fp_1', choices, usage };
}

// -- Errors, in the shapes of several vendors ---------------------------------------------

const openai = (message, type, code = null, param = null) => ({ error: { message, type, param, code } });

const errors = {
  e400: [400, openai("Invalid value for 'temperature'.", 'invalid_request_error', 'invalid_value', 'temperature')],
  e400_context: [400, openai('This model has a context of 8192 tokens.', 'invalid_request_error',
    'context_length_exceeded', 'messages')],
  e400_vllm: [400, { object: 'error', message: 'max_tokens is too large', type: 'BadRequestError', param: null, code: 400 }],
  e401: [401, openai('Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key')],
  e403: [403, openai('Country not supported', 'request_forbidden', 'unsupported_country_region_territory')],
  e404: [404, openai('The model `x` does not exist', 'invalid_request_error', 'model_not_found')],
  e404_ollama: [404, { error: 'model "x" not found, try pulling it first' }],
  e413: [413, openai('Request too large', 'invalid_request_error')],
  e422_fastapi: [422, { detail: [{ type: 'missing', loc: ['body', 'messages'], msg: 'Field required', input: {} }] }],
  e422_mistral: [422, { object: 'error', message: { detail: [{ loc: ['body', 'n'], msg: 'too large' }] },
    type: 'invalid_request_error', param: null, code: null }],
  e429: [429, openai('Rate limit reached', 'requests', 'rate_limit_exceeded'),
    { 'retry-after': '0', 'retry-after-ms': '5', 'x-ratelimit-remaining-requests': '0' }],
  e429_quota: [429, openai('You exceeded your current quota', 'insufficient_quota', 'insufficient_quota'),
    { 'x-should-retry': 'false' }],
  e500: [500, openai('The server had an error', 'server_error'), { 'retry-after-ms': '5' }],
  e503: [503, openai('The engine is overloaded', 'server_error'), { 'retry-after-ms': '5' }],
  e529: [529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, { 'retry-after-ms': '5' }],
  e502_html: [502, '<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>', { 'retry-after-ms': '5' }],
};

// -- Replies ------------------------------------------------------------------------------

function sendJson(response, status, body, headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/html' : 'application/json',
    'x-request-id': 'req_upstream', 'openai-processing-ms': '12', ...headers });
  response.end(text);
}

const beginStream = (response) => response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8',
  'openai-processing-ms': '12', 'x-ratelimit-remaining-requests': '99' });

// Each event is a write of its own, and what was written is on its way before the next.
function sendEvents(response, events) {
  const list = [...events];
  const step = () => {
    if (response.destroyed) return;
    const next = list.shift();
    if (next === undefined) response.end();
    else if (next === 'cut') response.socket.destroy();
    else response.write(next, () => setImmediate(step));
  };
  step();
}

const event = (data, name) => `${name ? `event: ${name}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

function chatEvents(body, model, events) {
  const asked = body.stream_options?.include_usage === true;
  const nulls = asked ? { usage: null } : {};
  return [...events.map((choices) => event({ ...chunkOf(model, choices), ...nulls })),
    ...(asked ? [event({ ...chunkOf(model, []), usage })] : []), event('[DONE]')];
}

// Text without an end, a piece every few milliseconds, until the other side leaves.
function sendForever(response, piece) {
  beginStream(response);
  const timer = setInterval(() => response.write(piece), 5);
  response.once('close', () => clearInterval(timer));
}

const odd = {
  hang() {},
  endless(body, response) { sendForever(response, event(chunkOf('endless', say('more and ')[0]))); },
  slow(body, response) {
    setTimeout(() => { if (!response.destroyed) chat(body, response, 'slow', chats.chat); }, 400);
  },
  cut(body, response) {
    if (!body.stream) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      return response.write('{"id":', () => response.socket.destroy());
    }
    beginStream(response);
    sendEvents(response, [...chatEvents(body, 'cut', chats.chat).slice(0, 4), 'cut']);
  },
  // Without [DONE] and without a reason to end: the connection closes as if all were well.
  half(body, response) {
    beginStream(response);
    sendEvents(response, chatEvents(body, 'half', chats.chat).slice(0, 4));
  },
  errorevent(body, response) {
    if (!body.stream) return sendJson(response, ...errors.e500);
    beginStream(response);
    sendEvents(response, [...chatEvents(body, 'errorevent', chats.chat).slice(0, 4),
      event(openai('The server had an error', 'server_error', 'server_error'))]);
  },
  // 200, and an error in it.
  error200(body, response) { sendJson(response, 200, openai('Provider returned error', 'server_error', 'upstream_error')); },
  // As Azure begins: an event about the prompt, without a choice.
  azure(body, response) {
    if (!body.stream) return chat(body, response, 'azure', chats.chat);
    beginStream(response);
    sendEvents(response, [event({ id: '', object: '', created: 0, model: '', choices: [],
      prompt_filter_results: [{ prompt_index: 0, content_filter_results: { hate: { filtered: false, severity: 'safe' } } }] }),
      ...chatEvents(body, 'azure', chats.chat)]);
  },
  // Comments, CRLF, ids, and events cut in the middle of a character.
  ragged(body, response) {
    if (!body.stream) return chat(body, response, 'ragged', chats.chat);
    beginStream(response);
    const bytes = Buffer.from(`: hello\r\n\r\nid: 1\r\n${chatEvents(body, 'ragged', chats.chat).join('').replaceAll('\n', '\r\n')}`);
    sendEvents(response, Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.subarray(7 * i, 7 * i + 7)));
  },
  // What came, as text: compares requests.
  echo(body, response) {
    const { stream, stream_options, ...rest } = body;
    chat(body, response, 'echo', [begin(), ...say(JSON.stringify(rest)), end()]);
  },
  busy(body, response) {
    if (seen.calls <= 2) return sendJson(response, ...(seen.calls === 1 ? errors.e429 : errors.e503));
    chat(body, response, 'busy', chats.chat);
  },
};

function chat(body, response, model, events) {
  if (!body.stream) return sendJson(response, 200, wholeOf(model, events));
  beginStream(response);
  sendEvents(response, chatEvents(body, model, events));
}

// -- Embeddings, completions ----------------------------------------------------------------

function embeddings(body, response) {
  const inputs = Array.isArray(body.input) ? body.input : [body.input];
  const data = inputs.map((_, index) => {
    const numbers = Float32Array.from({ length: 8 }, (_, i) => (index + 1) / (i + 3));
    return { object: 'embedding', index,
      embedding: body.encoding_format === 'base64' ? Buffer.from(numbers.buffer).toString('base64') : [...numbers] };
  });
  sendJson(response, 200, { object: 'list', data, model: body.model, usage: { prompt_tokens: 3, total_tokens: 3 } });
}

function completions(body, response) {
  const piece = (text, finish_reason = null) => ({ id: 'cmpl-1', object: 'text_completion', created, model: body.model,
    choices: [{ index: 0, text, logprobs: null, finish_reason }] });
  if (!body.stream) return sendJson(response, 200, { ...piece('Once upon a time', 'stop'), usage });
  beginStream(response);
  sendEvents(response, [event(piece('Once up')), event(piece('on a time')), event(piece('', 'stop')), event('[DONE]')]);
}

// -- Responses --------------------------------------------------------------------------------

const message = (id, text) => ({ id, type: 'message', status: 'completed', role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }] });
const toolCall = (id, city) => ({ id: `fc_${id}`, type: 'function_call', status: 'completed', call_id: `call_${id}`,
  name: 'get_weather', arguments: JSON.stringify({ city }) });

const outputs = {
  chat: [message('msg_1', 'Hello, Grüße \u{1F600} and 你好.')],
  structured: [message('msg_1', '{"city":"Bonn","degrees":21,"sky":"clear"}')],
  tools: [toolCall('a', 'Bonn'), toolCall('b', 'Köln am Rhein')],
};

function responseOf(model, output, status) {
  return { id: 'resp_1', object: 'response', created_at: created, status, background: false, error: null,
    incomplete_details: null, instructions: null, max_output_tokens: null, model, output, parallel_tool_calls: true,
    previous_response_id: null, reasoning: { effort: null, summary: null }, service_tier: 'default', store: true,
    temperature: 1, text: { format: { type: 'text' } }, tool_choice: 'auto', tools: [], top_p: 1, truncation: 'disabled',
    usage: status === 'completed' ? { input_tokens: 9, input_tokens_details: { cached_tokens: 4 }, output_tokens: 12,
      output_tokens_details: { reasoning_tokens: 3 }, total_tokens: 21 } : null, user: null, metadata: {} };
}

const halves = (text) => { const c = [...text], m = c.length >> 1; return [c.slice(0, m).join(''), c.slice(m).join('')]; };

function* itemEvents(item, output_index) {
  const at = { item_id: item.id, output_index };
  if (item.type === 'function_call') {
    yield { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', arguments: '' } };
    for (const delta of halves(item.arguments)) yield { type: 'response.function_call_arguments.delta', ...at, delta };
    yield { type: 'response.function_call_arguments.done', ...at, arguments: item.arguments };
  } else {
    const [part] = item.content;
    yield { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', content: [] } };
    yield { type: 'response.content_part.added', ...at, content_index: 0, part: { ...part, text: '' } };
    for (const delta of halves(part.text))
      yield { type: 'response.output_text.delta', ...at, content_index: 0, delta, logprobs: [] };
    yield { type: 'response.output_text.done', ...at, content_index: 0, text: part.text, logprobs: [] };
    yield { type: 'response.content_part.done', ...at, content_index: 0, part };
  }
  yield { type: 'response.output_item.done', output_index, item };
}

function* responseEvents(model, output) {
  yield { type: 'response.created', response: responseOf(model, [], 'in_progress') };
  yield { type: 'response.in_progress', response: responseOf(model, [], 'in_progress') };
  for (const [i, item] of output.entries()) yield* itemEvents(item, i);
  yield { type: 'response.completed', response: responseOf(model, output, 'completed') };
}

function responses(body, response) {
  if (body.model === 'hang') return;
  if (body.model === 'endless') return sendForever(response,
    event({ type: 'response.output_text.delta', item_id: 'msg_1', output_index: 0, content_index: 0, delta: 'more ',
      logprobs: [], sequence_number: 1 }, 'response.output_text.delta'));
  if (body.model === 'busy' && seen.calls <= 2) return sendJson(response, ...(seen.calls === 1 ? errors.e429 : errors.e503));
  const output = outputs[body.model] ?? outputs.chat;
  if (!body.stream) return sendJson(response, 200, responseOf(body.model, output, 'completed'));
  const events = [...responseEvents(body.model, output)].map((e, sequence_number) =>
    event({ ...e, sequence_number }, e.type));
  const failed = event({ type: 'error', code: 'server_error', message: 'The server had an error', param: null,
    sequence_number: 6 }, 'error');
  beginStream(response);
  sendEvents(response, body.model === 'errorevent' ? [...events.slice(0, 5), failed]
    : body.model === 'cut' ? [...events.slice(0, 5), 'cut'] : events);
}

// -- The server ---------------------------------------------------------------------------------

const seen = { calls: 0, open: 0, aborted: 0, last: null };

function answer(path, body, response) {
  if (errors[body.model]) return sendJson(response, ...errors[body.model]);
  if (path.endsWith('/embeddings')) return embeddings(body, response);
  if (path.endsWith('/responses')) return responses(body, response);
  if (path.endsWith('/chat/completions')) {
    if (chats[body.model]) return chat(body, response, body.model, chats[body.model]);
    if (odd[body.model]) return odd[body.model](body, response);
  } else if (path.endsWith('/completions')) return completions(body, response);
  sendJson(response, 404, openai(`nobody answers ${body.model} at ${path}`, 'invalid_request_error', 'no_script'));
}

function serveModel(request, text, response) {
  seen.calls += 1;
  seen.open += 1;
  response.once('close', () => {
    seen.open -= 1;
    if (!response.writableEnded) seen.aborted += 1;
  });
  seen.last = JSON.parse(text);
  answer(request.url, seen.last, response);
}

// Listens at a free port of the loopback; says where.
export function startUpstream() {
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (piece) => { text += piece; });
    request.on('error', () => {});
    request.on('end', () => {
      if (request.url === '/seen') return sendJson(response, 200, seen);
      if (request.url === '/reset') { Object.assign(seen, { calls: 0, aborted: 0, last: null }); return sendJson(response, 200, seen); }
      serveModel(request, text, response);
    });
  });
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => done({
      origin: `http://127.0.0.1:${server.address().port}`,
      close() { server.closeAllConnections?.(); server.close(); },
    }));
  });
}
