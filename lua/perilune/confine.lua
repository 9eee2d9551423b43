--- confine: what is taken from Lua itself, for all that run in a state of ours.
--
-- Bytecode is not safe, gsub is to be interruptible also as a method of strings, and what strings share must not be
-- written.  A program that has loaded the rock is not confined: its Lua is its own (core/bridge/guest.c).

local interruptible = require "perilune.interruptible"

string.dump = nil
string.gsub = interruptible.gsub
getmetatable("").__metatable = false
