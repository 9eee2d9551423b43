--- frame: a call that stays on the stack while it lasts.
--
-- A policy that ends with `return perilune.respond{...}` gives up its own frame for that call, and an error of
-- the call would be blamed on whoever called the policy.  So policies, and functions that run as branches, are
-- called through here: core/bridge/blame.c knows this function, and reads from its first local whom it called.

local function pass(...) return ... end

-- (`return fn(...)` would give up this frame, too.  And with `or` LuaJIT finds no name for what is called, which is
-- fn for nobody else: tracebacks have its file and line instead.)
return function(fn, ...) return pass((fn or false)(...)) end
