// compare.mjs -- the same calls of an SDK direct, through the gateway, and through a map.
//
// A call is a function of a base URL that gives plain data: what a caller of the SDK would
// see, errors included.  compare() runs it three ways (stage.mjs), and the results must be
// equal.  Through `map` words arrive in other pieces, so what says how a stream was cut is
// for the caller to put together first.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { until } from './gateway.mjs';
import { setStage } from './stage.mjs';

let stage;
before(async () => { stage = await setStage(); });
after(async () => {
  const alive = stage?.alive();
  stage?.stop();
  assert.ok(alive, 'the gateway died during the tests');
});

export const ask = async (what) => (await fetch(`${stage.upstream}/${what}`)).json();

// Plain data: what JSON does not carry is not compared.
const plainly = (value) => JSON.parse(JSON.stringify(value ?? null));

// Runs `call` one way: what it saw, how often the upstream was asked, and what for.
async function run(call, way) {
  await ask('reset');
  const saw = plainly(await call(stage.urls[way]));
  const { calls, last } = await ask('seen');
  const { stream_options, ...sent } = last ?? {}; // the gateway asks for usage on its own account
  return { saw, calls, sent };
}

// `expect` says what the gateway documents to change, `mapped` what a map does not keep.
export function compare(name, call, expect = (direct) => direct, mapped = (result) => result) {
  for (const way of ['plain', 'mapped']) {
    test(`${name} (${way})`, async () => {
      const fold = way === 'mapped' ? mapped : (result) => result;
      const want = expect(await run(call, 'direct'));
      assert.deepStrictEqual(fold(await run(call, way)), fold(want));
    });
  }
}

// What cannot be compared, because without the gateway it is not told: `check(url)` throws when it fails.
export function through(name, check) {
  for (const way of ['plain', 'mapped']) test(`${name} (${way})`, () => check(stage.urls[way]));
}

// `leave(url, asked)` begins a call and gives it up; asked() waits until the upstream has it.
export function givesUp(name, leave) {
  for (const way of ['plain', 'mapped']) {
    test(`${name} (${way})`, async () => {
      await ask('reset');
      await leave(stage.urls[way], () => until('the upstream is asked', async () => (await ask('seen')).open === 1));
      await until('the upstream is left', async () => {
        const { aborted, open } = await ask('seen');
        return aborted === 1 && open === 0;
      });
    });
  }
}

// -- How calls fail: README.md, "On the wire" --------------------------------------------

// What is said for upstreams that gave no code.
const said = {
  e400_vllm: 'max_tokens is too large', e404_ollama: 'model "x" not found, try pulling it first',
  e422_fastapi: 'messages: Field required', e422_mistral: 'n: too large', e500: 'The server had an error',
  e503: 'The engine is overloaded', e529: 'Overloaded', e502_html: '502 Bad Gateway',
};

// A request that is at fault is told so in the words of the upstream; other failures say who failed.
export const retold = (script) => (direct) => {
  const { error } = direct.saw;
  if (said[script]) {
    const { status } = error;
    error.status = { 500: 502, 529: 503 }[status] ?? status;
    error.message = `the upstream answered ${status}: ${said[script]}`;
  }
  return direct;
};
