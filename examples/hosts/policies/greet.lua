--- greet: whoever asks is called by the name that the program knows.
local perilune = require "perilune"

return function()
  return function(req, next)
    local name, err = host.lookup_user(req.tenant)
    if err then return nil, err end
    if not name then return nil, perilune.error{ code = "not_found", message = "nobody has this id" } end
    local last = req.messages[#req.messages]
    last.content = ("%s says: %s"):format(name, last.content)
    return next(req)
  end
end
