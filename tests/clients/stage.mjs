// stage.mjs -- three ways to one upstream, for tests that compare them:
//
//   direct   SDK -> upstream
//   plain    SDK -> gateway -> upstream             no policy, no Lua
//   mapped   SDK -> gateway -> policy -> upstream   a map that changes nothing, over all kinds
//
// As a program it prints their base URLs, and the origin of the upstream, as one line of
// JSON; it ends when its standard input does, with status 1 when the gateway died before.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from './gateway.mjs';
import { startUpstream } from './upstream.mjs';

const fields = (origin) => `
  upstreams = { up = { url = "${origin}/v1", key = "client", pass_headers = {
    "retry-after-ms", "x-should-retry", "x-ratelimit-*", "openai-*" } } },
  routes = {
    { path = "/mapped/v1/chat/completions", strip_prefix = "/mapped", policies = { function(req, next)
      local res, err = next(req)
      if not res then return nil, err end
      res:map("word", function(word) return word end, { of = { "text", "reasoning", "refusal", "arguments" } })
      return res
    end } },
    { path = "/mapped/*", strip_prefix = "/mapped" },
  },`;

export async function setStage() {
  const dir = mkdtempSync(join(tmpdir(), 'perilune-stage.'));
  const upstream = await startUpstream();
  const gateway = await serve(dir, fields(upstream.origin));
  const origin = `http://127.0.0.1:${gateway.port}`;
  return {
    upstream: upstream.origin,
    urls: { direct: `${upstream.origin}/v1`, plain: `${origin}/v1`, mapped: `${origin}/mapped/v1` },
    alive: gateway.alive,
    log: gateway.log,
    stop() {
      gateway.stop();
      upstream.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

if (process.argv[1]?.endsWith('stage.mjs')) {
  const stage = await setStage();
  console.log(JSON.stringify({ upstream: stage.upstream, urls: stage.urls }));
  process.stdin.resume();
  process.stdin.on('end', () => {
    const alive = stage.alive();
    stage.stop();
    process.exit(alive ? 0 : 1);
  });
}
