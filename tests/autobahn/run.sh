#!/bin/sh
# Autobahn's published WebSocket cases against http/ws_conn.c: sections 1 to 7, 9 and 10.  (12 and 13 are about
# compression, which is never agreed on.)  WSTEST: the test suite's `wstest`, for example in its image for Docker; on PyPI it
# is written for Python 2.  Without it nothing runs, saying so.
cd "$(dirname "$0")/../.." || exit 1
wstest=${WSTEST:-wstest}
command -v "$wstest" >/dev/null 2>&1 || { echo "autobahn: SKIPPED, there is no wstest (WSTEST=...)"; exit 0; }

folder=$(mktemp -d)
build/release/ws_echo 0 >"$folder/echo" & echo=$!
trap 'kill "$echo"; rm -rf "$folder"' EXIT
until grep -q listening "$folder/echo"; do sleep 0.1; done
address=$(sed 's/.* //' "$folder/echo")
cat >"$folder/cases.json" <<END
{ "outdir": "$folder", "servers": [{ "agent": "perilune", "url": "ws://$address" }],
  "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {} }
END
"$wstest" -m fuzzingclient -s "$folder/cases.json" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
luajit - "$folder/index.json" <<'END'
package.path = "tests/?.lua;" .. package.path
local json, files = require "support.json", require "support.files"
local passed, bad = 0, {}
for case, r in pairs(json.decode(files.read(arg[1])).perilune) do
  local fine = { OK = true, INFORMATIONAL = true }
  if fine[r.behavior] and fine[r.behaviorClose] then passed = passed + 1
  else bad[#bad + 1] = ("%s: %s, closing %s"):format(case, r.behavior, r.behaviorClose) end
end
table.sort(bad)
print(("autobahn: %d cases passed, %d failed"):format(passed, #bad))
print(table.concat(bad, "\n"))
os.exit(#bad == 0 and 0 or 1)
END
