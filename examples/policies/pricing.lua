--- pricing: what an order costs, and who gets a discount.  Called by examples/rules.c.
local perilune = require "perilune"

local M = {}

local prices = { pen = 1.20, book = 14.00, desk = 240.00 } -- EUR

local function discount(order, sum)
  local sale = perilune.values.sale -- set by the program while it runs; nil: there is none
  if sale and sum >= sale.from then return sale.percent / 100 end
  return order.tenant == "gold" and 0.05 or 0
end

--- { tenant =, items = { { name =, count = }, ... } } -> { total =, discount = }, or nil and why not
function M.quote(order)
  local sum = 0
  for i, item in ipairs(order.items) do
    local price = prices[item.name]
    if not price then return nil, ("item %d: there is no '%s'"):format(i, item.name) end
    local left, err = host.in_stock(item.name) -- the program answers
    if not left then return nil, err end
    if left < item.count then return nil, ("only %d of '%s' are left"):format(left, item.name) end
    sum = sum + price * item.count
  end
  local part = discount(order, sum)
  return { total = math.floor(sum * (1 - part) * 100 + 0.5) / 100, discount = part }
end

return M
