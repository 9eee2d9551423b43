// websocket.test.mjs -- a WebSocket of npm's ws, and the one that node has itself, as browsers do.
//
// The upstream is the simulator; what it says by HTTP is what must come here.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { serve, until } from './gateway.mjs';

const key = 'sk-töst/1';
const dir = mkdtempSync(join(tmpdir(), 'perilune-ws.'));
let gateway;

before(async () => {
  const hash = createHash('sha256').update(key).digest('hex');
  gateway = await serve(dir, `
    upstreams = { up = { sim = { tokens = 20, ttft_ms = 1, itl_ms = 1 } }, slow = { sim = { tokens = 100000, ttft_ms = 1, itl_ms = 1 } } },
    cors = { origins = { "https://app.test" } },
    websocket = { ping = 0.2, max_message = "64KiB" },
    routes = { { path = "/keys/v1/chat/completions", strip_prefix = "/keys",
                 policies = { { "auth_keys", keys = { ["${hash}"] = "acme" } } } }, { path = "/v1/*" } },`);
});
after(() => {
  const alive = gateway.alive(), log = gateway.log();
  gateway.stop();
  rmSync(dir, { recursive: true, force: true });
  assert.ok(alive, `the gateway died\n${log}`);
});

const url = () => `ws://127.0.0.1:${gateway.port}/v1/ws`;
const body = (fields = {}) => ({ model: 'up', messages: [{ role: 'user', content: 'Hello 你好' }], ...fields });
const chat = (id, fields) => ({ id, path: '/v1/chat/completions', body: body(fields) });

// A socket that sorts what comes by id.
function open(protocols = [], options = {}) {
  const ws = new WebSocket(url(), protocols, options);
  const s = { ws, heard: new Map(), code: null, pings: 0 };
  const of = (id) => s.heard.get(id) ?? (s.heard.set(id, []), s.heard.get(id));
  ws.on('message', (data, binary) => {
    assert.ok(!binary);
    const m = JSON.parse(data);
    of(m.id).push(m);
  });
  ws.on('ping', () => { s.pings += 1; });
  ws.on('close', (code, reason) => Object.assign(s, { code, reason: String(reason) }));
  s.ask = (m) => ws.send(JSON.stringify(m));
  s.of = of;
  s.last = (id) => until(`the last message of ${id}`, () => of(id).find((m) => ['done', 'error', 'canceled'].includes(m.event)));
  s.opened = new Promise((done, fail) => { ws.once('open', () => done(s)); ws.once('error', fail); });
  return s;
}

const text = (messages) => messages.filter((m) => m.data).map((m) => m.data.choices[0]?.delta?.content ?? '').join('');

test('twenty streams at once on one socket, each whole and in order', async () => {
  const s = await open().opened;
  const ids = Array.from({ length: 20 }, (_, i) => (i % 2 ? i : `n${i}`));
  for (const id of ids) s.ask(chat(id, { stream: true }));
  for (const id of ids) {
    assert.equal((await s.last(id)).event, 'done');
    const all = s.of(id);
    assert.equal(all[0].event, 'head');
    assert.equal(all[0].status, 200);
    assert.equal(all.at(-1).event, 'done');
    assert.equal(text(all), text(s.of(ids[0])));
  }
  s.ws.close(1000, 'bye');
  await until('it is closed', () => s.code);
  assert.equal(s.code, 1000);
});

test('a whole answer is what HTTP gives', async () => {
  const s = await open().opened;
  s.ask(chat(1));
  await s.last(1);
  const r = await fetch(`${gateway.url}/chat/completions`, { method: 'POST', body: JSON.stringify(body()) });
  const [head, data] = s.of(1);
  assert.equal(head.headers['content-type'], r.headers.get('content-type'));
  const strip = ({ id, created, ...rest }) => rest;
  assert.deepEqual(strip(data.data), strip(await r.json()));
  s.ws.terminate();
});

test('a key as subprotocol, as a header, and none', async () => {
  const word = Buffer.from(key).toString('base64url');
  const ask = async (s) => {
    await s.opened;
    s.ask({ ...chat(1), path: '/keys/v1/chat/completions' });
    const last = await s.last(1);
    s.ws.close();
    return last;
  };
  const browser = open(['perilune.v1', `perilune.key.${word}`], { origin: 'https://app.test' });
  assert.equal((await ask(browser)).event, 'done');
  assert.equal(browser.ws.protocol, 'perilune.v1');
  const bytes = Buffer.from(key).toString('latin1'); // a header holds bytes
  assert.equal((await ask(open([], { headers: { authorization: `Bearer ${bytes}` } }))).event, 'done');
  const none = await ask(open(['perilune.v1']));
  assert.equal(none.status, 401);
  assert.equal(none.error.code, 'invalid_api_key');
});

test('pages of others do not get in', async () => {
  for (const origin of ['https://evil.test', 'null', 'https://app.test.evil.test'])
    await assert.rejects(open([], { origin }).opened, /403/);
});

test('cancelled, and the socket goes on', async () => {
  const s = await open().opened;
  s.ask(chat(1, { stream: true, model: 'slow' }));
  await until('it has begun', () => s.of(1).length > 3);
  s.ask({ id: 1, cancel: true });
  assert.equal((await s.last(1)).event, 'canceled');
  const count = s.of(1).length;
  s.ask(chat(2));
  assert.equal((await s.last(2)).event, 'done');
  assert.equal(s.of(1).length, count);
  s.ws.close();
});

test('pings are answered by themselves, and hold the socket', async () => {
  const s = await open().opened;
  await until('three pings', () => s.pings >= 3);
  assert.equal(s.code, null);
  const heard = new Promise((done) => s.ws.once('pong', (d) => done(String(d))));
  s.ws.ping('are you there');
  assert.equal(await heard, 'are you there');
  s.ws.close();
});

test('too large, not text, not JSON', async () => {
  const large = await open().opened;
  large.ask(chat(1, { user: 'x'.repeat(70000) }));
  await until('it is closed', () => large.code);
  assert.equal(large.code, 1009);
  const binary = await open().opened;
  binary.ws.send(Buffer.from([1, 2, 3]));
  await until('it is closed', () => binary.code);
  assert.equal(binary.code, 1003);
  const s = await open().opened;
  s.ws.send('no JSON');
  assert.equal((await s.last(null)).error.code, 'invalid_json');
  s.ws.close();
});

test('fragments, and a slow reader', async () => {
  const s = await open().opened;
  const message = JSON.stringify(chat(1, { stream: true }));
  for (let i = 0; i < message.length; i += 7) s.ws.send(message.slice(i, i + 7), { fin: i + 7 >= message.length });
  assert.equal((await s.last(1)).event, 'done');
  s.ws.pause();
  s.ask(chat(2, { stream: true }));
  s.ws.resume();
  assert.equal((await s.last(2)).event, 'done');
  s.ws.close();
});

test('the WebSocket of browsers', { skip: typeof globalThis.WebSocket !== 'function' && 'node has none before 22' }, async () => {
  const ws = new globalThis.WebSocket(url(), ['perilune.v1']);
  const got = [];
  ws.onmessage = (e) => got.push(JSON.parse(e.data));
  await new Promise((done, fail) => { ws.onopen = done; ws.onerror = fail; });
  ws.send(JSON.stringify(chat('b', { stream: true })));
  await until('done', () => got.some((m) => m.event === 'done'));
  assert.equal(ws.protocol, 'perilune.v1');
  assert.ok(text(got).length > 20);
  ws.close();
});
