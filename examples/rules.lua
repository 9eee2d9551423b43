-- rules.lua -- the rules of examples/rules.c, and nothing else: no upstream, no route, no address.
--
-- `perilune check examples/rules.lua` reads the modules, too.  They are read again by perilune_reload(), all or nothing.

return {
  rules = { "pricing" },            -- policies/pricing.lua
  host_functions = { "in_stock" },  -- of the program: where there is none, as in `perilune check`, a call fails
  limits = { cpu_ms = 20 },         -- of one evaluation
}
