// gateway.mjs -- a gateway and its upstreams for the SDK tests.
//
//   SDK -> perilune serve -> perilune sim      models "sim" and anything faulty
//                         -> a server of ours  model "flaky": fails, then answers
//
// Faults are chosen per request by the header x-sim, which the gateway forwards.
// serve() starts a gateway alone, for tests that bring their own upstreams.

import { spawn } from 'node:child_process';
import { createServer, connect } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { mkdtempSync, writeFileSync, rmSync, readFileSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..');
const binary = process.env.PERILUNE ? resolve(process.env.PERILUNE) : join(root, 'build/perilune');

function freePort() {
  return new Promise((done, fail) => {
    const s = createServer();
    s.once('error', fail);
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });
}

// Asks `fn` until it says something true; the one way of waiting in these tests.
export async function until(what, fn, ms = 30000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const got = await fn();
    if (got) return got;
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await pause(5);
  }
}

function accepts(port) {
  return new Promise((done) => {
    const s = connect(port, '127.0.0.1');
    s.once('connect', () => { s.destroy(); done(true); });
    s.once('error', () => done(false));
  });
}

// Counts calls; the script says what each gets, the last entry is for all others.
function startFlaky() {
  const flaky = { script: [], calls: 0 };
  const server = createHttpServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const step = flaky.script[Math.min(flaky.calls, flaky.script.length - 1)];
      flaky.calls += 1;
      const body = JSON.stringify(step.body ?? {
        id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'flaky',
        choices: [{ index: 0, message: { role: 'assistant', content: 'at last' },
                    finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
      });
      response.writeHead(step.status ?? 200, { 'content-type': 'application/json', ...step.headers });
      response.end(body);
    });
  });
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      flaky.url = `http://127.0.0.1:${server.address().port}/v1`;
      flaky.close = () => { server.closeAllConnections?.(); server.close(); };
      done(flaky);
    });
  });
}

// A gateway in `dir`, with these fields of a configuration; stop() leaves dir behind.
export async function serve(dir, fields) {
  const port = await freePort(), admin = await freePort();
  const config = join(dir, 'perilune.lua'), log = join(dir, 'log');
  writeFileSync(config, `return {
    listen = "127.0.0.1:${port}", admin = "127.0.0.1:${admin}", workers = 1, ${fields} }`);
  const server = spawn(binary, ['serve', config], { stdio: ['ignore', 'ignore', openSync(log, 'w')] });
  await until('the gateway listens', () => {
    if (server.exitCode !== null) throw new Error(`the gateway ended: ${readFileSync(log)}`);
    return accepts(port);
  });
  return {
    port,
    url: `http://127.0.0.1:${port}/v1`,
    alive: () => server.exitCode === null && server.signalCode === null,
    log: () => readFileSync(log, 'utf8'),
    stop: () => server.kill('SIGKILL'),
  };
}

export async function startGateway() {
  const dir = mkdtempSync(join(tmpdir(), 'perilune-sdk.'));
  const simOut = join(dir, 'sim.out');
  const sim = spawn(binary, ['sim', '--listen', '127.0.0.1:0'],
    { stdio: ['ignore', openSync(simOut, 'w'), openSync(join(dir, 'sim.err'), 'w')] });
  const simUrl = await until('the simulated upstream listens', () => {
    if (sim.exitCode !== null) throw new Error(`sim ended: ${readFileSync(join(dir, 'sim.err'))}`);
    return /listening on (\S+)/.exec(readFileSync(simOut, 'utf8'))?.[1];
  });

  const flaky = await startFlaky();
  const gateway = await serve(dir, `
    upstreams = {
      sim   = { url = "${simUrl}", forward_headers = { "x-sim" } },
      flaky = { url = "${flaky.url}" },
    },`);

  const simOrigin = new URL(simUrl).origin;
  return {
    ...gateway,
    flaky,
    stats: async () => (await fetch(`${simOrigin}/sim/stats`)).json(),
    last: async () => (await fetch(`${simOrigin}/sim/last`)).text(),
    async stop() {
      gateway.stop();
      sim.kill('SIGKILL');
      flaky.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
