// http2.test.mjs -- an upstream that speaks HTTP/2 over TLS, by node's own server.
//
// Every test gives its upstream a handler; requests to the gateway are plain HTTP/1.1.  Who has
// to be first is decided by promises, never by time.

import { test, before, after, beforeEach, afterEach } from 'node:test';
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { request } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { serve, until } from './gateway.mjs';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const tls = (name) => resolve(here, '../support/tls', name);
const dir = mkdtempSync(join(tmpdir(), 'perilune-h2.'));
const up = { sessions: [], streams: 0, handler: null };
let gateway, server;

before(async () => {
  server = http2.createSecureServer({ key: readFileSync(tls('key.pem')), cert: readFileSync(tls('cert.pem')) });
  server.on('session', (s) => up.sessions.push(s));
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    up.streams += 1;
    stream.on('error', () => {});
    let body = '';
    stream.on('data', (d) => { body += d; });
    stream.on('end', () => up.handler(stream, headers, JSON.parse(body)));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
});
after(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});
// A gateway for each: none begins with the connections of another.
beforeEach(async () => {
  Object.assign(up, { sessions: [], streams: 0, handler: null });
  const url = `https://127.0.0.1:${server.address().port}/v1`;
  gateway = await serve(dir, `
    upstreams = { h2 = { url = "${url}", http2 = true, ca = "${tls('cert.pem')}" } },`);
});
afterEach(() => {
  const alive = gateway.alive(), log = gateway.log();
  gateway.stop();
  for (const s of up.sessions) s.destroy();
  assert.ok(alive, `the gateway died\n${log}`);
});

// -- The upstream's side ------------------------------------------------------------------

const event = (data) => `data: ${JSON.stringify(data)}\n\n`;
const token = (content) => event({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm',
  choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const finish = event({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm',
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) + 'data: [DONE]\n\n';
const begin = (stream) => stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });

function answer(stream, content, status = 200) {
  stream.respond({ ':status': status, 'content-type': 'application/json' });
  stream.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] }));
}

// A promise, and what fulfils it.
function gate() {
  let open;
  const promise = new Promise((done) => { open = done; });
  return { promise, open };
}

// -- The client's side --------------------------------------------------------------------

// Resolves with the response; its text grows in .text, .ended is a promise.
function chat(fields = {}, options = {}) {
  return new Promise((done, fail) => {
    const r = request({ port: gateway.port, host: '127.0.0.1', method: 'POST', path: '/v1/chat/completions', agent: false,
      headers: { 'content-type': 'application/json' } }, (response) => {
      response.text = '';
      response.request = r;
      response.ended = new Promise((over) => {
        response.once('end', () => over(true));
        response.once('error', () => over(false));
        response.once('close', () => over(response.complete));
      });
      if (!options.deaf) response.on('data', (d) => { response.text += d; });
      done(response);
    });
    r.once('error', fail);
    r.end(JSON.stringify({ model: 'h2', messages: [{ role: 'user', content: 'Hi' }], ...fields }));
  });
}

async function whole(fields) {
  const response = await chat(fields);
  await response.ended;
  return response;
}

// Streams share a connection; with a libcurl before 8.1 each has its own.
const connections = (streams) => assert.ok([1, streams].includes(up.sessions.length), `${up.sessions.length} connections`);

const said = (response, text) => until(`the client has ${text}`, () => response.text.includes(text));

// -- Tests --------------------------------------------------------------------------------

test('a whole answer over HTTP/2, and one connection for the next', async () => {
  up.handler = (stream, headers, body) => {
    assert.equal(headers[':path'], '/v1/chat/completions');
    assert.equal(stream.session.alpnProtocol, 'h2');
    answer(stream, `hello ${body.messages[0].content}`);
  };
  for (let i = 0; i < 3; i++) {
    const r = await whole({ messages: [{ role: 'user', content: `n${i}` }] });
    assert.equal(r.statusCode, 200);
    assert.ok(r.text.includes(`hello n${i}`), r.text);
  }
  assert.equal(up.sessions.length, 1);
});

test('a stream is forwarded as it comes', async () => {
  const seen = gate();
  up.handler = async (stream) => {
    begin(stream);
    stream.write(token('one'));
    await seen.promise;
    stream.end(token('two') + finish);
  };
  const r = await chat({ stream: true });
  await said(r, 'one');
  assert.ok(!r.text.includes('two'));
  seen.open();
  assert.ok(await r.ended);
  assert.match(r.text, /one[^]*two[^]*data: \[DONE\]\n\n$/);
});

test('an error status has its body', async () => {
  up.handler = (stream) => {
    stream.respond({ ':status': 429, 'content-type': 'application/json', 'retry-after': '7' });
    stream.end('{"error":{"message":"slow down","code":"rate_limit_exceeded"}}');
  };
  const r = await whole({ stream: true });
  assert.equal(r.statusCode, 429);
  assert.equal(r.headers['retry-after'], '7');
  assert.ok(r.text.includes('slow down'));
});

test('fifty streams at once', async () => {
  const waiting = [];
  up.handler = (stream) => {
    begin(stream);
    stream.write(token('first'));
    waiting.push(stream);
    if (waiting.length === 50) for (const s of waiting) s.end(token('last') + finish); // none may need another's end
  };
  const warm = chat({ stream: true });
  await until('the connection is there', () => waiting.length === 1);
  const all = await Promise.all([warm, ...Array.from({ length: 49 }, () => chat({ stream: true }))]);
  for (const r of all) {
    assert.ok(await r.ended);
    assert.match(r.text, /first[^]*last[^]*\[DONE\]/);
  }
  connections(50);
});

test('a reset before the head', async () => {
  up.handler = (stream) => stream.destroy(new Error('on purpose')); // close() would end it first
  const r = await whole();
  assert.equal(r.statusCode, 502);
  assert.equal(JSON.parse(r.text).error.code, 'upstream_reset');
});

test('a reset in the middle ends that stream with an error, and no other', async () => {
  const streams = [];
  up.handler = (stream) => {
    begin(stream);
    stream.write(token(`of ${streams.push(stream)}`));
  };
  const first = await chat({ stream: true });
  await said(first, 'of 1');
  const second = await chat({ stream: true });
  await said(second, 'of 2');
  streams[0].destroy(new Error('on purpose'));
  await first.ended;
  assert.match(first.text, /data: {"error":{[^]*"code":"upstream_reset"/);
  assert.ok(!first.text.includes('[DONE]'));
  streams[1].end(token('and more') + finish);
  assert.ok(await second.ended);
  assert.match(second.text, /and more[^]*\[DONE\]/);
  connections(2);
});

test('an upstream that goes away lets streams finish; the next gets a new connection', async () => {
  const streams = [];
  up.handler = (stream) => {
    begin(stream);
    stream.write(token('begun'));
    streams.push(stream);
  };
  const old = await chat({ stream: true });
  await said(old, 'begun');
  up.sessions[0].goaway(http2.constants.NGHTTP2_NO_ERROR, streams[0].id);
  const next = await chat({ stream: true });
  await said(next, 'begun');
  streams[0].end(token('old') + finish);
  streams[1].end(token('new') + finish);
  assert.ok(await old.ended);
  assert.ok(await next.ended);
  assert.match(old.text, /old[^]*\[DONE\]/);
  assert.match(next.text, /new[^]*\[DONE\]/);
  assert.equal(up.sessions.length, 2);
});

test('a connection that breaks ends all its streams with an error', async () => {
  up.handler = (stream) => {
    begin(stream);
    stream.write(token('begun'));
  };
  const all = await Promise.all([chat({ stream: true }), chat({ stream: true })]);
  for (const r of all) await said(r, 'begun');
  for (const s of up.sessions) s.destroy();
  for (const r of all) {
    await r.ended;
    assert.match(r.text, /data: {"error":{[^]*"code":"upstream_/);
    assert.ok(!r.text.includes('[DONE]'));
  }
});

test('a client that leaves cancels its stream at once', async () => {
  const closed = gate();
  up.handler = (stream) => {
    stream.once('close', closed.open);
    begin(stream);
    stream.write(token('begun'));
  };
  const leaver = await chat({ stream: true });
  await said(leaver, 'begun');
  leaver.request.destroy();
  await closed.promise;
});

test('a client that leaves cancels its stream, and no other', async () => {
  const closed = gate(), streams = [];
  up.handler = (stream) => {
    begin(stream);
    stream.write(token('begun'));
    if (streams.push(stream) === 1) stream.once('close', closed.open);
  };
  const leaver = await chat({ stream: true });
  await said(leaver, 'begun');
  const stays = await chat({ stream: true });
  await said(stays, 'begun');
  leaver.request.destroy();
  const tick = setInterval(() => streams[1].write(token('tick')), 10); // libcurl tells with the next bytes
  await closed.promise;
  clearInterval(tick);
  streams[1].end(finish);
  assert.ok(await stays.ended);
  assert.ok(stays.text.includes('[DONE]'));
  connections(2);
});

test('a client that reads nothing stops its stream, and no other', async () => {
  const MEGABYTE = token('x'.repeat(1000000)), PIECES = 80;
  let sent = 0;
  up.handler = async (stream, headers, body) => {
    if (!body.stream) return answer(stream, 'meanwhile');
    begin(stream);
    for (let i = 0; i < PIECES; i++) {
      await new Promise((done) => stream.write(MEGABYTE, done));
      sent += 1;
    }
    stream.end(finish);
  };
  const deaf = await chat({ stream: true }, { deaf: true });
  for (let i = 0; i < 50; i++) {
    const r = await whole();
    assert.ok(r.text.includes('meanwhile'), r.text);
  }
  assert.ok(sent < PIECES, 'all of it was taken for a client that reads nothing');
  let length = 0, tail = '';
  deaf.on('data', (d) => { length += d.length; tail = (tail + d).slice(-20); });
  assert.ok(await deaf.ended);
  assert.equal(length, PIECES * MEGABYTE.length + finish.length);
  assert.ok(tail.endsWith('data: [DONE]\n\n'));
});
