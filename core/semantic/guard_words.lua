-- guard_words.lua -- the words that the guard knows; makes guard_words_hash.h, guard_words_kind.h and guard_words_pairs.h of them.
--
--   luajit core/semantic/guard_words.lua        from the root of the project
--
-- Lists were written by hand for this project.  Words are in small letters without apostrophes (dont); _ joins a
-- row of words; tall~ stands for tall, taller, tallest.  Other endings (-s, -ed, -ing, -er, -ly) are taken off
-- by guard_facts.c when a word is not listed with them.

local bit, ffi = require "bit", require "ffi"

-- ORDER guard_int.h
local CLASS = { PREFIX = 0, NEUTRAL = 1, NEGATION = 2, OPPOSITE = 3, NUMBER = 4, TIMES = 5, NUMERAL = 6, UNIT = 7, DATE = 8, NAME = 9,
                LANGUAGE = 10, FORMAT = 11, QUESTION = 12, ROLE = 13, STOP = 14, SYNONYM = 15 }
local LEFT, RIGHT, CONTRARY, WEAK, SOFT, CAPITAL, LOOSE, GOING = 1, 2, 4, 8, 16, 32, 64, 64

local data = {} -- row of words -> list of { class, id, flags }
local synonyms = {} -- lists of words that mean the same; only where a text is another one but for such a word

-- -- Reading lists ----------------------------------------------------------------------------

-- tall~: its forms.
local function forms(word)
  local base = word:match("^(.*)~$")
  if not base then return { word } end
  local stem = base
  if base:match("y$") and not base:match("[aeo]y$") then stem = base:sub(1, -2) .. "i"
  elseif base:match("e$") then stem = base:sub(1, -2)
  elseif base:match("^[^aeiou]*[aeiou][bdgmnpt]$") then stem = base .. base:sub(-1) end
  return { base, stem .. "er", stem .. "est" }
end

local function each(list, fn)
  for item in list:gmatch("%S+") do
    for _, word in ipairs(forms(item)) do fn((word:gsub("_", " "))) end
  end
end

local function put(word, class, id, flags)
  local d = data[word] or {}
  for _, e in ipairs(d) do
    if e.class == class and e.id == id then
      e.flags = bit.bor(e.flags, flags or 0)
      return
    end
  end
  d[#d + 1] = { class = class, id = id or 0, flags = flags or 0 }
  data[word] = d
end

local function words(class, list, id, flags)
  each(list, function(w) put(w, class, id, flags) end)
end

-- Each line has an id of its own.
local function lines(class, text, flags, from)
  local id = from or 0
  for line in text:gmatch("[^\n]+") do
    if line:match("%S") then
      id = id + 1
      words(class, line, id, flags)
    end
  end
  return id
end

local pairs_count = 0
-- One side of a pair.  keep+: of those words only what stands in front of a verb with -ing.
local function side(list, flags)
  words(CLASS.OPPOSITE, list:gsub("%S+%+", ""), pairs_count, flags)
  for word in list:gmatch("(%S+)%+") do words(CLASS.OPPOSITE, word, pairs_count, flags + GOING) end
end

-- left words | right words
local function opposites(text, flags)
  for line in text:gmatch("[^\n;]+") do
    local left, right = line:match("^(.-)|(.*)$")
    if left then
      side(left, LEFT + (flags or 0))
      side(right, RIGHT + (flags or 0))
      pairs_count = pairs_count + 1
    end
  end
end

-- What excludes each other: a | b | c.  Each of n has a number, and each digit of it is a side of a pair: two that are not
-- the same differ in one at least, so n take as many pairs as n has binary digits.
local function kinds(text, flags)
  for line in text:gmatch("[^\n]+") do
    local sides = {}
    for words_of_one in line:gmatch("[^|]+") do sides[#sides + 1] = words_of_one end
    for digit = 0, math.ceil(math.log(#sides) / math.log(2) - 1e-9) - 1 do
      for i, list in ipairs(sides) do side(list, (bit.band(i - 1, 2 ^ digit) == 0 and LEFT or RIGHT) + (flags or 0)) end
      pairs_count = pairs_count + 1
    end
  end
end

-- -- Stop words, roles, questions --------------------------------------------------------------

words(CLASS.STOP, [[a an the of for and or my your his her its our their this that these those there it i you he she we they me him them us
  please some any just also so very really with at by on as be been being get got want need like thanks thank hello hi 的 了 吗 呢 吧 啊 呀 么 嘛
  哦 是 有 我 你 您 他 她 它 们 这 那 怎 什 为 何 如 哪 谁 请 问 想 要 会 能 可 以 一 个 和 与 走 去 多 少 几 多少 好 ]], 0)
words(CLASS.STOP, "is are was were do does did will would can could should shall may might must has have had am isnt arent doesnt didnt cant wont", 1)
words(CLASS.STOP, "know tell ask wonder exactly explain about understand learn idea sure determine me remember say see clarify", 2)
words(CLASS.STOP, "in into to from speak speaks 用 成 说 译", 3)
words(CLASS.ROLE, "from 从 由 自", 0)
words(CLASS.ROLE, "to into 到 至 转 换 变 成 兑", 1)
words(CLASS.ROLE, "than 比 over beats exceeds 胜 大于 小于 高于 低于 优于 minus", 2)
words(CLASS.ROLE, "with by 代替 替换 取代 instead_of", 3)

local ASKED = { who = 0, when = 1, where = 2, why = 3, many = 4, much = 5, long = 6, far = 7, old = 8, often = 9, big = 10, how = 11,
  tall = 12, heavy = 13, deep = 14, wide = 15, thick = 16, fast = 17 } -- ORDER guard_int.h
local function asks(kind, list) words(CLASS.QUESTION, list, ASKED[kind]) end
asks("who", "who whom 谁 什么人 哪位 何人 哪个人 which_person what_person")
asks("when", "when what_time what_date what_year what_day which_year which_day which_month what_month at_what_time 什么时候 何时 几点 几时 什么时间 啥时候 啥时间 什么日子 哪天 哪年 哪一年 哪一天 在哪一年 在哪年 在哪天 在哪一天 几月 几号 几月几号 什么时侯 多会儿 多会")
asks("where", "where what_place which_place 哪里 哪儿 在哪 去哪 到哪 哪有 什么地方 啥地方 何处 何地 哪里有 在哪里 在哪儿 去哪里 去哪儿 到哪里 到哪儿")
asks("why", "why how_come what_is_the_reason whats_the_reason for_what_reason what_causes what_caused 为什么 为何 为啥 干嘛 怎么回事 什么原因 何故 凭什么 原因是什么")
asks("many", "how_many what_number_of 几个 几种 几人 几次 几本 几只 几位 几张 几条 几家 几部 几集 几口 几层 多少个 多少人 多少种 多少次 多少张")
asks("much", "how_much what_does_it_cost 多少钱 多钱 几块钱 几元 多少元 多少块 什么价 什么价格 价格是多少 价格多少 啥价")
asks("long", "how_long how_many_days how_many_years how_many_hours how_many_minutes how_many_weeks how_many_months how_much_time 多久 多长时间 几天 几年 几小时 几个小时 几分钟 几个月 几周 多少天 多少年 多少时间 多少小时 多少分钟 多少个小时 多少个月")
asks("far", "how_far how_many_miles how_many_kilometers what_distance 多远 多少公里 多少里 几公里 多少千米 距离多少")
asks("old", "how_old what_age 多大年纪 几岁 多少岁 多大岁数")
asks("often", "how_often how_frequently 多久一次 几天一次 隔多久")
asks("tall", "how_tall how_high 多高")
asks("heavy", "how_heavy 多重")
asks("deep", "how_deep 多深")
asks("wide", "how_wide 多宽")
asks("thick", "how_thick 多厚")
asks("fast", "how_fast 多快")
for _, kind in ipairs{ "big", "tall", "heavy", "deep", "wide", "thick" } do asks(kind, "how_big how_large 多大") end -- any of them
asks("how", "how 如何 怎样 怎么样才能 怎么才能 怎么做 怎么弄 怎么办理")
words(CLASS.NEUTRAL, "how_about how_are_you what_if even_when 什么样 怎么样 在哪个 在哪些 在哪种 某人 谁有 谁知道 谁能 谁懂 谁帮 谁会 谁给 谁可以 有谁 谁告诉 谁来")

-- -- Negation --------------------------------------------------------------------------------------

words(CLASS.NEGATION, [[not never no none non nor neither without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt shouldnt
  hasnt havent hadnt mustnt neednt aint nobody nothing nowhere hardly barely rarely seldom unable fail_to fails_to failed_to failing_to lack lacks
  no_longer cease refuse_to unless
  不 没 没有 无 未 非 别 勿 莫 不能 不会 不要 不可以 不可 不用 不是 不得 不想 不让 不敢 不行 不到 不了 严禁 缺乏 缺少 毫无 从不 从未 绝不 决不 尚未 无法 无需 没法 切勿 休想 并非 不再 取消 解除 撤销 还不 还没 还没有 打不开 开不了 开不开 上不去 上不了 下不了 进不去 进不了 来不及 离不开 退不出 退不了 登不上 连不上 看不到 看不见 找不到 找不着 收不到 去不了 弄不了 用不了]])
words(CLASS.NEUTRAL, [[not_only no_matter whether_or_not or_not no_problem dont_worry dont_know_how dont_know_what dont_know_why dont_know_where
  dont_know_if do_not_know_how do_not_know_what do_not_know_why not_sure_how not_sure_why not_sure_what not_sure_if dont_understand_why
  dont_understand_how why_not if_not dont_mind no_idea_how have_no_idea_how not_to_mention
  cant_wait cant_help nothing_but none_other no_other no_one_else no_doubt no_wonder
  是不是 能不能 有没有 会不会 要不要 可不可以 可不可 好不好 行不行 对不对 是否 用不用 该不该 想不想 能否 可否 算不算 知不知道 需不需要 应不应该
  不好意思 不错 不但 不仅 不仅仅 不管 不论 不过 不同 不断 不久 不知道 不知 不懂 不清楚 不明白 不晓得 差不多 感激不尽 感谢不尽 无理取闹 独一无二 别着急 不便 不太 不是很 对不起 了不起 不得了 不得不 开不开放 开不开门 开不开学 不一会 不愧 不禁 不妨 不客气
  不如 不见得 不止 不只 不由得 要不 要不然 不然 无论 无论如何 无非 无聊 无线 无限 无锡 无所谓 无数 无疑 无敌 无双 无极 无间道 没关系 没事 没问题 没准
  了没有 了没 过没有 过没 没有吗 没有呢 未来 未必 未免 未婚 未成年 非常 非洲 非凡 非主流 非诚勿扰 非得 非要 除非  并非如此 别人 特别 区别 分别 级别 类别 性别 告别 个别 别墅 别名 别的 别克 识别 辨别 差别 派别 鉴别 离别
  莫非 莫斯科 无奈 无锡市 不锈钢 不动产 不孕不育 不孕 不等式 勿忘我 没完没了 忍不住 不倒翁 不朽 不二 不三不四 非你莫属 不一定 不停 不到位]])

-- Words with a negation in them: what they negate, if that has an opposite.
local negated = [[impossible=possible unsafe=safe illegal=legal unlawful=legal invalid=valid incorrect=correct inaccurate=accurate
  unhealthy=healthy unlike=like unnecessary=necessary unknown=known unavailable=available incomplete=complete inactive=active
  unused=used unpaid=paid unfair=fair unhappy=happy unusual=usual uncommon=common unstable=stable unlikely=likely insecure=secure
  inconsistent=consistent incompatible=compatible irregular=regular irrelevant=relevant immature=mature impatient=patient impolite=polite
  independent=dependent informal=formal invisible=visible indirect=direct disagree=agree dislike=like dishonest=honest nonfiction=fiction
  nonprofit=profit unpopular=popular unequal=equal unreliable=reliable unsupported=supported unlimited=limited infinite=finite unmarried=married
  unemployed=employed uneducated=educated untrue=true unauthorized=authorized undefined=defined unsigned=signed unordered=ordered unsorted=sorted
  immutable=mutable immoral=moral illiterate=literate illogical=logical irrational=rational ineligible=eligible insoluble=soluble nonzero=zero
  asymmetric=symmetric asynchronous=synchronous atypical=typical disadvantage=advantage disadvantages=advantages disallow=allow
  discontinue=continue disobey=obey distrust=trust noncommercial=commercial unprotected=protected unpublished=published unfamiliar=familiar
  unaware=aware unwanted=wanted unclear=clear unexpected=expected unfinished=finished unemployment=employment
  无效=有效 无害=有害 无毒=有毒 无用=有用 不安全=安全 不合法=合法 非法=合法 违法=合法 不公平=公平 不正常=正常 异常=正常 不对称=对称 无理数=有理数 不健康=健康 未公开=公开 无声=有声 无形=有形 无机=有机 无性=有性 不等=相等 不相等=相等]]

-- -- Opposites --------------------------------------------------------------------------------------------

-- One is not the other: what is not enabled is disabled.
opposites([[
enable activate turn_on switch_on|disable deactivate turn_off switch_off
open opened|close closed shut
legal lawful|against_the_law
safe secure|dangerous hazardous risky
true|false
right correct accurate|wrong
alive living|dead
same identical|different
allow allowed permit permitted|forbid forbidden ban banned prohibit prohibited deny denied disallow
accept|reject decline refuse
online|offline
present|absent
full|empty
include including|exclude excluding except
on|off
connected|disconnected
locked|unlocked
public|private
internal|external
mandatory required compulsory|optional voluntary
pass passed|fail failed
succeed success|failure
even|odd
guilty|innocent
visible shown|hidden invisible
healthy|sick ill
single unmarried|married
hard~ difficult tough|easy~ simple~
active|inactive
open_source|closed_source proprietary
合法|犯法 犯罪
安全|危险
有效 生效|失效
打开 开启 启用 开通 启动|关闭 关掉 禁用 停用 关停 关上
开着|关着
在线|离线 下线
公开|私密 保密 隐私 私有
正确|错误
相同 一样 同样|不同
允许 准许|禁止 不准 不许
接受 同意|拒绝 反对
成功|失败
已婚|未婚 单身
成年|未成年
包括 包含|除了 不含 不包括
真|假
]], CONTRARY)

opposites([[
buy bought purchase|sell sold
buy purchase|rent lease
start started begin began begun launch|stop stopped end quit halt finish
stop stopped quit cease halt finish give_up discontinue|keep+ keeps+ kept+ keep_on kept_on carry_on carried_on go_on went_on continue resume persist
quit leave|stay stayed remain
keep kept retain hold_on_to|discard throw_away throw_out get_rid_of sell sold give_back
import|export
upload|download
encrypt|decrypt
encode|decode
compress|decompress uncompress extract
serialize|deserialize
increase raise rise grow expand|decrease reduce lower drop decline shrink fall cut diminish
maximize|minimize
connect|disconnect
install|uninstall
add insert append|remove delete drop subtract
show display unhide reveal|hide conceal
lock|unlock
block|unblock
mute|unmute
follow|unfollow
subscribe|unsubscribe
mount|unmount dismount
zip|unzip
pack|unpack
load|unload
link|unlink
plug|unplug
wrap|unwrap
fold collapse|unfold expand
bind|unbind
pin|unpin
archive|unarchive
freeze|unfreeze thaw melt
ban|unban
register sign_up enroll|unregister cancel
log_in login sign_in logon log_on|log_out logout sign_out logoff log_off
push|pull
hire employ|fire lay_off dismiss
lend lent loan|borrow borrowed
attach|detach
win won|lose lost
assemble|disassemble dismantle
pause|resume
create make build|delete destroy
heat warm|cool chill
commit|revert rollback roll_back
send sent|receive received
give gave|take took
teach taught|learn
ask|answer
arrive|depart leave
enter|exit leave
attack|defend
save|spend
save|delete discard
gain|lose
love|hate
remember|forget
inhale|exhale
multiply|divide
upgrade|downgrade
push_up|push_down
speed_up accelerate|slow_down decelerate
zoom_in|zoom_out
check_in|check_out
opt_in|opt_out
scale_up|scale_down
scale_out|scale_in
input|output
read|write
get|set
get|put
get|post
approve|reject
ascend|descend
ascending|descending
deposit|withdraw withdrawal
deploy|undeploy
inflate inflation|deflate deflation
credit|debit
supply|demand
supporter support favor|oppose opponent
fasten tighten|loosen
attract|repel
merge combine join|split separate
union|intersection
before|after
before until|since
earlier|later
maximum max|minimum min
most|least
more|less fewer
more_than greater_than above over|less_than fewer_than below under
at_least no_less_than|at_most no_more_than up_to
best|worst
better|worse
first|last final
first|second
left lefthand|right righthand
male man men boy boys|female woman women girl girls
husband|wife
father dad|mother mom mum
father dad|son
mother mom|daughter
son sons|daughter daughters
brother brothers|sister sisters
uncle|aunt
grandfather grandpa|grandmother grandma
king|queen
prince|princess
actor|actress
parent parents|child children kid kids
boyfriend|girlfriend
employer|employee
teacher|student
buyer|seller
landlord|tenant
doctor|patient
lender|borrower
client|server
sender|receiver recipient
cheap~ inexpensive|expensive costly
hot~ warm~|cold~ cool~
upper uppercase|lower lowercase
upstream|downstream
uplink|downlink
upstairs|downstairs
large~ big~ huge|small~ little tiny
long~|short~
tall~|short~
high~|low~
fast~ quick quicker quickest rapid|slow~
old~ elder eldest elderly|young~ youngest
old~ ancient|new~ modern
oldest earliest|newest latest
horizontal|vertical
row rows|column columns
positive|negative
inner interior|outer exterior
indoor indoors|outdoor outdoors
inside|outside
front|rear back
frontend front_end|backend back_end
northern north|southern south
eastern east|western west
north|east west
south|east west
heavy~|light~ lightweight
light~ bright~|dark~
hard~|soft~
strong~|weak~
rich~ wealthy|poor~
wet~ damp|dry~
thick~|thin~ slim~
wide~ broad|narrow~
deep~|shallow
loud~ noisy|quiet~ silent
clean~|dirty~
smooth~|rough~
sharp~|blunt dull
happy~ glad|sad~
early|late
day daytime|night nighttime
sunrise|sunset
black|white
vegetarian vegan|carnivore
domestic|international foreign
import_duty|export_duty
gross|net
profit|loss
revenue income|expense expenses expenditure
asset assets|liability liabilities
bull bullish|bear bearish
advantage advantages benefit benefits pros strengths|disadvantage disadvantages drawback drawbacks cons weaknesses
plus addition|minus subtraction
multiplication|division
numerator|denominator
prefix|suffix
parent_class superclass|subclass child_class
stack|queue
client_side|server_side
static|dynamic
local|global remote
abstract|concrete
lossy|lossless
serial sequential|parallel concurrent
breadth|depth
primary|secondary
beginner novice|expert advanced
amateur|professional
major|minor
urban|rural
theoretical theory|practical practice
subjective|objective
qualitative|quantitative
singular|plural
active_voice|passive_voice
noun|verb
synonym synonyms|antonym antonyms
vowel vowels|consonant consonants
acid acidic|base alkaline basic
solid|liquid gas
predator|prey
winner|loser
friend friends|enemy enemies
hero|villain
war|peace
life|death
birth|death
heaven|hell
entrance entry|exit
ceiling|floor
top|bottom
head|tail
beginning start|end ending
past|future
cause causes|effect effects
question|answer
export_tax|import_tax
all every each|none
always|never
everyone everybody|nobody
convex|concave
clockwise|counterclockwise anticlockwise
odd_number|even_number
freshwater|saltwater
left_handed|right_handed
overweight fat|underweight skinny thin
wholesale|retail
fixed|variable
buyout|sellout
mandatory|voluntary
digital|analog
wired|wireless
manual|automatic
hardware|software
optimistic optimist|pessimistic pessimist
introvert introverted|extrovert extroverted
ios|android
fresh|stale rotten frozen
raw|cooked
sweet|sour bitter salty
majority|minority
victory|defeat
inbound incoming|outbound outgoing
vertical_scaling|horizontal_scaling
allow|block
plant sow|harvest
defrost thaw|freeze
harmful|beneficial
set|cancel
change modify update|reset recover retrieve
delete remove|deactivate suspend disable
fatten|slim
strengthen reinforce|weaken undermine
shorten|lengthen prolong
praise compliment|criticize scold blame
tense|relax
sharpen|blur
whitelist|blacklist
allowlist|blocklist denylist
promote|demote
take_off took_off takeoff|land landing
dim darken|brighten lighten
upside upsides|downside downsides
plaintiff prosecutor|defendant
common|rare uncommon
frequent|infrequent rare
salty|fresh
previous|next following upcoming
place|cancel
subscribe|cancel
nominate qualify|disqualify
brittle|ductile
dominant|recessive
mild|severe
acute|chronic
benign|malignant
crunchy|chewy
ally allies|enemy enemies
import|exporter
importer|exporter
producer|consumer
publisher|subscriber
master|slave
leader|follower
host|guest
win|draw
victim|suspect culprit perpetrator
innocence|guilt
birthday|anniversary wedding funeral
wedding|funeral divorce
marriage marry|divorce
bride|groom
widow|widower
nephew|niece
waiter|waitress
god|goddess
gentleman|lady
bull|cow
rooster|hen
puppy|kitten
sunny|rainy cloudy
summer|winter
spring|autumn
sunset|sunrise
tropical|polar
continental|maritime
coastal|inland
mountain|valley
hilly|flat
steep~|gentle flat
straight|curved crooked
round|square
parallel|perpendicular
odd|even
prime|composite
rational|irrational
integer|float fraction
real|imaginary
real|fake
genuine authentic|counterfeit fake
original|copy
natural|artificial synthetic
organic|inorganic
ripe|unripe
edible|poisonous toxic
nocturnal|diurnal
herbivore|carnivore omnivore
mammal|reptile bird
vertebrate|invertebrate
domesticated tame|wild
arrival arrivals|departure departures
boarding|landing
pull_up|push_up
squat|deadlift
bullish|bearish
long_position|short_position
call_option|put_option
surplus|deficit
inflation|deflation
boom|recession
hawkish|dovish
liberal|conservative
democrat|republican
democracy|dictatorship
capitalism|communism socialism
federal|state
civil|criminal
majority|minority
ancestor|descendant
predecessor|successor
senior|junior
superior|inferior
optimist|pessimist
generous|stingy greedy
brave courageous|cowardly
humble modest|arrogant
lazy|diligent hardworking
patient|impatient
polite|rude
honest|deceitful dishonest
clever~ smart~|stupid dumb
careful|careless
useful|useless
harmful|harmless
hopeful|hopeless
painful|painless
powerful|powerless
awake|asleep
sleep|wake
wake_up|fall_asleep
sit|stand
dress|undress
laugh|cry
whisper|shout
float|sink
freeze|boil
evaporate|condense
contract|expand
dissolve|precipitate
oxidize oxidation|reduce reduction
anode|cathode
proton|electron neutron
series|parallel
ac|dc
transmit transmitter|receive receiver
encoder|decoder
compiler|interpreter
compile|decompile
request|response
get_request|post_request
producer|consumer
horizontal|diagonal
inherit|override
push|pop
enqueue|dequeue
prepend|append
uppercase|lowercase
big_endian|little_endian
inner_join|outer_join
left_join|right_join
commit|abort
stage|unstage
star|unstar
like|dislike
upvote|downvote
crop|uncrop
bold|italic
foreground|background
portrait|landscape
wide|tall
fill|drain
inhale|exhale
swallow|spit
gain_weight|lose_weight
bulk|cut
hydrate|dehydrate
pregnant pregnancy|contraception
constipation|diarrhea
hypertension|hypotension
hyperglycemia|hypoglycemia
hyperthyroidism|hypothyroidism
high_blood_pressure|low_blood_pressure
nearsighted|farsighted
farther further|nearer closer
near close_to|far_from
toward towards|away_from
forward forwards|backward backwards
ahead|behind
onto|off
interior|exterior
ingoing|outgoing
landline|mobile cellphone
paper|plastic
paid|free
rent|own
lend|repay
earn|spend
save_money|spend_money
overpay|underpay
overestimate|underestimate
overfit overfitting|underfit underfitting
supervised|unsupervised
precision|recall
train|test
bias|variance
false_positive|false_negative
permanent|temporary
breakfast|dinner lunch
lunch|dinner
]])

opposites([[
up|down
in|out
cat cats|dog dogs
red|blue green yellow
blue|green yellow
green|yellow
black|red blue green yellow
white|red blue green yellow
kill|save rescue
hide|seek
]], WEAK)

opposites([[
买 购买 购 选购 买进 买入|卖 出售 售 卖出 转让 卖掉
租 租用 租赁|买 购买
开 打开 开机|关 关机 关闭
上传|下载
上传 发送|接收
登录 登陆 登入 上线|退出 登出 注销 下线
注册|注销
加密|解密
加锁 锁定 上锁|解锁 开锁
绑定|解绑 解除绑定
安装 装|卸载 卸
增加 增大 增长 提高 提升 上升 增强 增多|减少 减小 降低 下降 减轻 减弱 缩减
增 增产 增肥 增重|减 减产 减肥 减重
导入|导出
进口|出口
入口|出口
输入|输出
开始 启动|停止 结束 终止
停 停止 停掉 停下 停下来 停药 停用 停服 中断 中止 终止 暂停 放弃 戒 戒掉 别再 不再 不用再|继续 坚持 接着 持续 保持 再坚持
停药 停服 断药|吃药 服药 用药 服用 继续
保留 留着 留下|丢掉 扔掉 卖掉 删除 删掉 放弃
连接 连上|断开
压缩|解压 解压缩
添加 加入 新增 增加|删除 删掉 移除 去掉 清除
加入|退出
显示|隐藏
充值|提现 退款
存款|取款
存入 存|取出 取
放大|缩小
折叠|展开
升级|降级
升高 升|降低 降
升序|降序
升职|降职
涨 上涨 涨价|跌 下跌 跌价 降价
推|拉
关注|取消关注 取关
修改 更改 更换|重置 找回
加|减
乘|除
借入|借出
借款 借钱|还款 还钱
雇佣 招聘|解雇 辞退
入职|离职 辞职
入学|毕业 退学
结婚|离婚
恋爱|分手
出生|死亡
进入|离开 退出
进|出
来|去
左 左边 左侧 左手 左眼 左脚 左腿|右 右边 右侧 右手 右眼 右脚 右腿
上面 上方 上边 上部 上端|下面 下方 下边 下部 下端
上|下
上游|下游
前面 前方|后面 后方
前|后
之前 以前 前|之后 以后 后
前端|后端
前置|后置
前者|后者
里 里面 内部 内|外 外面 外部
国内|国外
室内|室外
境内|境外
最大|最小
大于|小于
大|小
多|少
高|低 矮
最高|最低
最多|最少
最新|最旧 最老
最快|最慢
快|慢
最好|最差 最坏
优点 好处 优势 利|缺点 坏处 劣势 弊
第一|最后
第一个|最后一个
首|末 尾
长|短
远|近
深|浅
粗|细
厚|薄
宽|窄
胖|瘦
轻|重
冷|热
凉|热
干|湿
强|弱
硬|软
新|旧
早|晚
贵|便宜
富|穷
亮|暗
黑|白
红|绿
难|容易 简单
复杂|简单
甜|咸 酸 苦 辣
生的|熟的
男 男生 男人 男孩 男性 男士 男的 男宝宝|女 女生 女人 女孩 女性 女士 女的 女宝宝
公|母
雌|雄
丈夫 老公|妻子 老婆 媳妇
爸爸 父亲 爸|妈妈 母亲 妈
爷爷|奶奶
公公|婆婆
岳父|岳母
哥哥|弟弟
姐姐|妹妹
哥哥 弟弟|姐姐 妹妹
儿子|女儿
叔叔|阿姨
父母 家长|孩子 子女
老师 教师|学生
医生|病人 患者
老板|员工
买家 买方|卖家 卖方
甲方|乙方
原告|被告
房东|租客 房客
正数|负数
正|负
正面|反面 背面
积极|消极
乐观|悲观
主动|被动
动态|静态
绝对|相对
公立|私立
公有|私有
公司|个人
集体|个人
农村|城市 城镇
东|西
南|北
东部|西部
南方|北方
南部|北部
白天|晚上 夜晚
阳历 公历|阴历 农历
阴|阳
晴|雨
竖 纵向|横 横向
行|列
奇数|偶数
单|双
单数|双数 复数
同步|异步
串行 串联|并行 并联
有线|无线
手动|自动
软件|硬件
客户端|服务端 服务器端
收入|支出
盈利|亏损
贷方|借方
资产|负债
股票|基金
批发|零售
攻击 进攻|防守 防御
赢|输
胜利|失败
天堂|地狱
战争|和平
朋友|敌人
爱|恨
喜欢|讨厌
原因|结果
近义词|反义词
褒义|贬义
必须 强制|可选 自愿
先|后
过去|未来 将来
开头|结尾
开学|放假
上班|下班
上课|下课
上车|下车
上楼|下楼
上市|退市
上架|下架
起床|睡觉
吸气|呼气
穿|脱
问|答
接|挂
给|拿
放|取
融化|凝固
加热|冷却
充电|放电
加班|请假
借|还
捡|丢
拆|装
教|学
赚|亏
内存|硬盘
同意|反对
支持|反对
失眠|嗜睡
便秘|腹泻 拉肚子
怀孕|避孕
近视|远视
早期|晚期
申购|赎回
批准 通过|驳回
充值 缴费|退费
投诉|表扬
拉黑|解除拉黑
免|需要
系上 系|解开 解
加好友|删好友
加群 入群|退群
加粗|取消加粗
插入 添加|删除
表扬 夸|批评 责骂
发送 发|接收 领取 收
发红包|抢红包 收红包
开通 办理|注销 退订
挂断|接听
拨打|接听
顺产|剖腹产 剖宫产
冻住 冷冻|解冻
合并|拆分 分割
进项|销项
太多|太少
过多|过少
偏高|偏低
偏大|偏小
调高|调低
调大|调小
调亮|调暗
变大|变小
变多|变少
变胖|变瘦
变快|变慢
变好|变坏
变硬|变软
拉长|缩短
延长|缩短
加长|缩短
加速|减速
加宽|变窄
吸入|呼出
干性|油性
太干|太油
干燥|潮湿 油腻
充足|不足 缺少
节约|浪费
勤劳|懒惰
勇敢|胆小
聪明|愚蠢 笨
骄傲|谦虚
诚实|虚伪
大方|小气
内向|外向
理性|感性
文科|理科
甲状腺亢进 甲亢|甲减
男友 男朋友|女友 女朋友
男装 男鞋 男裤|女装 女鞋 女裤
男主 男主角|女主 女主角
男神|女神
男足 男篮 男排|女足 女篮 女排
男方|女方
男厕|女厕
高血压|低血压
高血糖|低血糖
阳性|阴性
良性|恶性
急性|慢性
显性|隐性
有氧|无氧
有期|无期
民事|刑事
原价|折扣价
买入价|卖出价
牛市|熊市
看涨|看跌
做多|做空
加仓|减仓
建仓|平仓
开盘|收盘
顺差|逆差
顺时针|逆时针
顺风|逆风
通胀 通货膨胀|通缩
贷款|存款
借方|贷方
收款|付款
收货|发货
收件|寄件
收件人|寄件人 发件人
转入|转出
汇入|汇出
拨入|拨出
迁入|迁出
调入|调出
流入|流出
入库|出库
入境|出境
入院 住院|出院
入狱|出狱
入场|离场
入睡|醒来
上升期|下降期
上坡|下坡
上山|下山
上船|下船
上飞机|下飞机
上岸|下海
上铺|下铺
上联|下联
上册|下册
上旬|下旬
上肢|下肢
上身|下身
上唇|下唇
上颌|下颌
前轮|后轮
前排|后排
前门|后门
前摄像头 前置摄像头|后置摄像头 后摄像头
左转|右转
左边|右边
左耳|右耳
左脑|右脑
左派|右派
东门|西门
南门|北门
起点|终点
起飞|降落 着陆
出发|到达 抵达
开工|停工
开庭|休庭
开幕|闭幕
开放|封闭
盛开|凋谢
发芽|枯萎
涨潮|退潮
日出|日落
上弦月|下弦月
向阳|背阴
朝南|朝北
正极|负极
正方|反方
正版|盗版
正品|假货 高仿
全职|兼职
专职|兼职
长期|短期
定期|活期
固定|浮动
实数|虚数
整数|小数 分数
质数|合数
最大公约数|最小公倍数
平行|垂直
横坐标|纵坐标
分子|分母
被减数|减数
被除数|除数
加法|减法
乘法|除法
微分|积分
求导|积分
主语|宾语
主动语态|被动语态
平声|仄声
文言文|白话文
古代|现代
肯定|否定
赞成|反对
鼓励|打击
进化|退化
氧化|还原
合成|分解
吸热|放热
吸收|释放
饱和|不饱和
导体|绝缘体
公转|自转
哺乳动物|爬行动物
肉食|草食 素食
荤|素
生吃|熟吃
生抽|老抽
红茶|绿茶
热水|冷水 凉水
热敷|冷敷
晴天|雨天 阴天
白班|夜班
早班|晚班
]], WEAK)

-- Of one kind each: which side of a matter, which way to pay, who, on what, what is done to it.
kinds([[
symptom symptoms|causes|treatment treatments therapy|prevention|side_effect side_effects|diagnosis
boiling_point|melting_point|freezing_point|flash_point
mean average|median|variance|standard_deviation|sum
lyrics lyricist|melody music composer|singer vocals
cheque cheques|cash|card credit_card debit_card|bank_transfer wire_transfer|paypal
employee employees|contractor contractors freelancer freelancers|intern interns trainee trainees
company companies corporation corporations|individual individuals|charity charities
fried fry|steamed steam|baked bake|boiled boil|grilled grill|roasted roast
study studying|work working|travel travelling traveling tourism
phone smartphone cellphone mobile_phone iphone|tablet ipad|laptop|desktop|smartwatch|television tv
clean wash|sharpen|repair fix mend|replace|paint|whiten bleach|dye|test inspect
delete remove erase|upload|download|share|rename|copy duplicate|print
length|width|height|depth|weight
font_size|line_spacing|margin margins|font_color font_colour text_color text_colour
water_damage|fire_damage|storm_damage|theft
lecture lectures|exam exams|homework
breakfast|lunch|dinner supper
both_sides double_sided two_sided|one_side single_sided
by_mail by_post by_letter|by_phone by_telephone|by_email|in_person
trademark|patent|copyright
crop|rotate|resize|flip|blur
cyclists cyclist|pedestrians pedestrian|motorists motorist
calories|ingredients|allergens
kindergarten|primary_school elementary_school|secondary_school high_school|university college
column columns|row rows
症状|原因 病因 起因|治疗 疗法|预防|副作用 不良反应|诊断
沸点|熔点|冰点 凝固点|燃点
平均数 平均值 均值|中位数|众数|方差|标准差|总和 求和
作词 歌词 填词|作曲 谱曲|演唱 原唱|编曲
支票|现金|刷卡 信用卡 银行卡|转账|支付宝|微信支付
正式员工 正式工|实习生|合同工 劳务派遣 外包|兼职
企业 公司|个人|事业单位
油炸 炸|清蒸 蒸|烤|水煮 煮|炒
全熟 熟透|半熟 溏心
熟米饭 米饭 熟饭|生米 大米
留学 读书|工作 打工|旅游 旅行 观光|探亲|移民
手机|平板 平板电脑 ipad|电脑|手表|电视 电视机
清洗 清洁 洗|磨 打磨|维修 修理|更换|染 染色|漂白
删除 删掉 移除|上传|下载|分享 转发|重命名|复制 拷贝|打印
长度|宽度|高度|深度|重量
字号 字体大小|行距 行间距|页边距|字体颜色 字色
进水|摔坏 摔碎 碎屏|被盗 被偷|起火 着火
开门 开馆|关门 闭馆 打烊
锁屏 锁定|解锁 开锁
早餐 早饭|午餐 午饭|晚餐 晚饭
双面|单面
商标|专利|版权 著作权
裁剪 裁切|旋转|缩放|翻转
幼儿园|小学 小学生|初中 初中生 中学|高中 高中生|大学 大学生
隐藏列|隐藏行
优秀|及格 合格
]], WEAK)

-- Words in which a character is no opposite, no numeral, no name.
words(CLASS.NEUTRAL, [[as_well up_to_date at_all right_now right_away all_right turn_out find_out figure_out look_up sign_up_for end_up set_up back_up make_up give_up pick_up
  come_up show_up wake_up grow_up follow_up turn_up clean_up speed_of_light in_order first_of_all at_first at_last no_later at_least_once more_or_less sooner_or_later
  second_hand get_rid_of get_out_of get_to take_place take_part take_care in_front_of on_the_other_hand the_best_way best_way best_practice best_practices
  start_with start_over read_only write_a write_me write_an too_much so_much of_course each_other ok okay asap btw fyi faq up_with down_to_earth day_to_day
  one_by_one one_another no_one anyone someone everyone one_of
  大学 大家 大概 大约 大陆 大连 大众 大神 大师 大哥 大姐 大妈 大爷 大虾 大侠 大侠们 大全 大厦 大堂 大夫 大脑 大便 大姨妈 大理 大庆 大奖 大赛 大米 大豆 大蒜 大话 大雁 大海 大使 大战 大阪 大同 大于等于 大多 大多数 大致 大量 大型 大炮 大纲 大意 大乐透
  大衣 大白 大头 大盘 大本营 大气 大厅 大招 大专 大一 大二 大三 大四 大概多少 多大 最大化 伟大 广大 重大 加拿大 意大利 澳大利亚 放大镜 老大 强大 不大 巨大 北大 人大 浙大 大写 扩大 远大 高大 大大 大小 大闹
  小说 小时 小学 小学生 小区 小米 小心 小姐 小姐姐 小伙 小孩 小孩子 小子 小朋友 小吃 小麦 小猫 小品 小偷 小鸟 小明 小红 小便 小腿 小费 小程序 小额 小鱼 小鸡 小提琴 小龙虾 小白 小弟 小妹 小游戏 小三 小组 小霸王 小苏打 小产权 小女 小儿 小儿科 小伙子 小人 小众 小城 小镇
  从小 胆小 小于等于 小型 小米手机 小区里 小日本 小时候 小女孩 小男孩 小宝宝 小数 小笼包 小腹 小腿肚
  上海 上网 上学 上来 上去 上天 上帝 上火 上映 上当 上瘾 上诉 上司 上市公司 上述 上级 上衣 上古 上面写 上限 上线 上手 上门 上午 上周 上个月 上个 上次 上半年 晚上 早上 网上 身上 马上 世上 世界上 路上 以上 加上 穿上 手上 脸上 床上 地上 车上 天上 历史上 事实上 实际上 基本上 线上 海上 看上 爱上 喜欢上    上的
  上传 上官 上厕所 上户口 上门女婿 上楼 上下 北上广 电脑上 手机上 头上 晚上好 早上好 算上 跟不上 跟上 赶上 遇上 碰上 上热门 上大学 上初中 上高中 上小学 上幼儿园
  下载 下来 下去 下雨 下雪 下周 下个月 下个 下次 下午 下单 下面条 一下 一下子 下级 下限 下手 下巴 下一步 下一个 下一集 下半年 下跪 下棋 下蛋 下厨 以下 地下 地下城 天下 如下 底下 手下 名下 当下 电脑下 之下 情况下 条件下 乡下 旗下 余下 剩下  下的 下奶 下火 下功夫 下岗 下列 留下 下葬 阁下 楼下 脚下 放下 下架
  关于 关系 关心 关键 关注 关爱 关联 关节 关节炎 有关 相关 机关 海关 无关 没关系 开关 关羽 关门 公关 关晓彤 关卡 难关 过关 通关 第一关 关税 关东 关中 山海关
  开心 开发 开放 开始 开车 开学 开口 开会 开店 开户 开头 开业 开具 开放式 开封 开水 开花 开奖 开玩笑 开发票 开证明 离开 展开 公开 公开课 分开   开发商 开源 开胃 开通 开设 开展 开除 开支 开衫 召开 开心麻花 避开 揭开 开朗 开塞露 开挂 开票 开机 开关
  左右 左传 左宗棠 右派 前后 上下文 里外 高低 多少 大小 长短 男女 公母 早晚 轻重 快慢 冷热 远近 进出 来去 出来 出去 进来 进去 回来 回去 过来 过去 起来 下来 上来 进出口 买卖 来自 来源 来着 本来 原来 从来 后来 将来 未来 近来 以来 看来 带来 来说 来电 来电显示 来得及  来月经 来例假 来历 来信 例假来 越来越 来宾 外来 往来 历来 来往 想来 来回 来看 来的
  去年 去世 去除 去哪 去哪儿 失去 去掉 去火 去痘 去皮 去向 看上去 去黑头 去斑 去死
  前端 前程 前提 前途 前列腺 前女友 前男友 前妻 前夫 前任 前天 前台 目前 当前 眼前 提前 面前 跟前 史前 空前 从前 前世 前景 前往 前辈 前锋 产前 生前 前年 前期 前沿 前进 前几天 之前
  后台 后来 后果 后悔 后天 后宫 后卫 后代 后端 后妈 后缀 后备箱 后视镜 最后 然后 以后 之后 今后 落后 皇后 后半 后面 幕后 前后 后勤 后期 背后 午后 后遗症 善后 后人 后盾 后者 售后 售后服务 王后 产后
  多少 多久 多大 多长 多高 多远 多重 多么 多长时间 许多 很多 好多 多媒体 多数 多余 多功能 多云 多样 多边形 多项式 多肉 多动症 大多 多半 多多 多谢 多种 多个 多人 多次 多年 多日 多吃 更多 贝多芬 维多利亚 多线程 多核 多音字 多伦多 多巴胺 差不多 多的
  少年 少女 少儿 少数 少爷 少林寺 至少 少妇 少量 少数民族 青少年 少不了 美少女 少林 年少 少将 少校 缺少 多少
  高中 高中生 高考 高铁 高速 高速公路 高清 高兴 高手 高血压 高级 高等 高达 高尔夫 高德 高数 高一 高二 高三 高管 高层 高峰 高原 高山 高尚 高潮 高雅 高端 高跟鞋 高效 高度 身高 高分 高压 高冷 高新 提高 跳高 高密 高中数学 高等数学 高级版
  低调 低保 低头 低音 低碳 高低 降低 低级 贬低 低血糖
  长城 长春 长沙 长江 长安 长大 长度 长期 长辈 长相 长得 长高 长痘 长胖 长肉 长处 长官 长颈鹿 长寿 成长 生长 校长 班长 市长 部长 队长 家长 增长 特长 专长 身长 董事长 会长 局长 院长 厂长 省长 船长 擅长 长篇 长虹 长痘痘 长出 延长 县长 首长 长斑 酋长 行长 站长 组长 长跑 长途 长春市 长假 长不 长牙 助长 见长
  短信 短片 短视频 短跑 短裤 短发 短裙 简短 短语 短篇 缩短
  公司 公园 公主 公里 公交 公交车 公务员 公安 公安局 公寓 公告 公式 公平 公正 公斤 公开 公共 公众 公众号 公积金 公元 公民 公布 公認 公益 公证 公立 公路 办公 办公室 老公 主人公 公关 分公司 子公司 公认 公约 公社 公顷 公分 公爵 公鸡 外公 公输 包公 公因数 公倍数 济公 公网
  加油 加盟 加拿大 加工 加强 加速 加班 加载 加快 加入 增加 参加 加上 加热 加分 加好友 加减 更加 加州 附加 加利福尼亚 新加坡 加湿器 加盟店 加为 添加 加油站 加固 加深 加微信
  减肥 减肥药 加减 减速 减免 减压 减震 减少
  入门 入口 入学 入住 入党 入睡 入侵 入驻 入围 收入 投入 输入 进入 加入 导入 引入 深入 融入 入伍 入手 介入 录入 入团 入户 入境 出入 入职 入殓师 植入 插入
  出现 出生 出来 出去 出国 出版 出租 出租车 出差 出发 出售 出门 出口 出名 出错 出血 出汗 出路 出轨 出院 出票 出处 出示 出台 出口成章 出入 出身 出色 出息 出手 出自 出于 出具 出图 出品 出道 出家 导出 退出 输出 演出 支出 杰出 突出 提出 发出 付出 找出 看出 得出 选出 推出 写出 列出 查出 求出 指出 露出 画出 做出 超出 冒出 说出 传出 算出 派出所 日出 出血量 出了 出的 出什么 拿出 卖出
  进行 进步 进货 进口 进口车 进化 进度 进程 进入 先进 改进 进攻 进展 促进 进修   进一步 进击 进制 二进制 十进制 引进 进出 进价
  升级 升学 升旗 升职 提升 上升 升值 毫升 升学率 升温 升序 直升机 专升本
  降临 降落 降温 下降 降价 投降 空降 降血压 降血糖 降血脂 降火 降噪
  增值税 增长 增加 增强 增值 增肥 增高 增幅 增大
  买单 卖萌 外卖 专卖 专卖店 拍卖 买家秀 贩卖 叫卖 卖点 买卖
  女儿 美女 妇女 子女 少女 儿女 处女座 处女 侄女 孙女 仙女 女娲 女巫 织女 魔女 女婿 男女 男团 女团 女王 女子
  热爱 热门 热线 热情 热血 热水器 热水 热点 热带 热狗 热播 热量 亲热 热烈 炎热 热心 热闹 冷静 冷笑话 冷战 冷门 寒冷 冷却 冷藏 制冷 冷冻 热巴 热恋 热身 发热 冷暴力
  白色 黑色 白酒 黑客 白痴 表白 明白 黑龙江 白血病 白发 白头发 白带 白癜风 美白 黑头 黑眼圈 黑洞 黑板 李白 白居易 白天 白羊座 白云 白银 白菜 白领 坦白 蛋白 蛋白质 空白 告白 白百何 黑社会 白术 黑莓 黑马 洁白 白话 白娘子 白蛇 包黑炭 黑名单 白名单 红色 红楼梦 红酒 红包 红枣 红米 红豆 红利 分红 红军 网红 绿色 绿豆 绿茶 绿化 口红 走红 红薯 红烧 红军长征
  正在 正常 正确 正式 正好 正品 正版 正规 正月 真正 反正 改正 公正 正义 正宗 正文 正方形 正比 正比例 修正 正能量 正体 正面 纠正 正规军 端正 正果 正负 负责 负担 辜负 胜负 抱负 自负 负责人 欺负
  真的 真实 真正 真心 真人 真相 真理 真诚 认真 天真 真爱 真是 仿真 假如 假期 放假 请假 暑假 寒假 假装 假设 休假 年假 婚假 产假 病假 假日 假发 传真 写真 真三国 真三国无双 真假 真题 假面 真空 真菌 假面骑士
  新闻 新华 新鲜 新疆 新手 新娘 新郎 新年 新款 新西兰 新加坡 新浪 更新 创新 最新 重新 全新 新品 新生 新生儿 新人 新东方 新乡 新颖 刷新 新型 新房 新概念 新概念英语 新浪微博 怀旧 旧金山 依旧 旧版 新版 新旧 新建 新增
  重庆 重要 重新 重点 重量 体重 严重 尊重 重复 重视 重装 重启 重生 重组 重修 重名 重大 重阳 重阳节 保重 重力 多重 轻松 年轻 轻轨 轻易 轻度 轻微 轻轻 重置 重写 重疾 重逢 重心 重写 重做
  深圳 深度 深入 深刻 加深 深爱 深夜 深受 深化 资深 深蓝 深造 深圳市
  早餐 早饭 早晨 早日 早期 早恋 早产 早熟 早泄 早孕 晚安 晚餐 晚会 晚报 晚饭 晚年 晚期 春晚 傍晚 夜晚 早就 最早 最晚 早点 早教 早上好 晚上好 今晚 昨晚 明早
  难道 难受 难过 难忘 难度 困难 难看 难怪 灾难 艰难 难民 疑难 难产 遇难 避难 难以 为难 难题
  强大 强烈 强调 强化 坚强 增强 加强 强盗 强奸 勉强 富强 强制 李克强 强迫 强迫症 强者 最强 小强 强国 弱智 弱点 软件 软体 硬件 硬盘 硬币 软文 微软 软糖 软妹 软骨 硬币
  远程 永远 远大 远离 遥远 近视 最近 附近 接近 近代 近期 近义词 近日 靠近 将近 近几年 远方 望远镜 近况 近义
  粗心 粗粮 细胞 细节 细菌 详细 仔细 细心 细致 精细 明细 细化 宽带 宽容 宽度 厚度 厚道 薄荷 薄膜 单薄 浓厚 宽松 薄熙来 细腻 细则 细分 粗俗 粗糙 薄弱 薄利
  干净 干嘛 干部 干什么 干活 饼干 若干 干扰 干燥 干眼症 干洗 干预 干细胞 干妈 干爹 骨干 干货 干果 干燥剂 湿疹 风湿 潮湿 湿气 除湿 保湿 干粉 主干 干红 能干 晒干 葡萄干 干咳 牛肉干 干脆 干啥
  阴道 阴历 阴茎 阳台 太阳 太阳能 太阳系 阳光 阳痿 沈阳 贵阳 洛阳 阴阳 阴影 阴天 阳历 阴虚 阳性 阴性 阳气 绵阳 夕阳 阴阳师 阴谋 重阳 阳江 咸阳 岳阳 南阳 襄阳 朝阳 丹阳 信阳 安阳 邵阳 衡阳 滋阴 壮阳 浏阳 阴部 阳朔
  贵州 贵阳 贵族 宝贵 珍贵 贵宾 贵人 贵姓 贵公司 贵司 尊贵 富士康 富贵 财富 丰富 富有 贫富 富豪 富二代 贵妃 富强 高贵 富士
  快乐 快递 快速 快要 快捷 快捷键 快播 愉快 尽快 凉快 快餐 快手 快感 赶快 痛快 飞快 慢性 慢慢 快照 快门 快车 快点 快速度 快活 勤快 慢性病 傲慢 快乐大本营 快进 慢跑
  轻 生活 学习 学校 学生 学院 学历 学费 学位 学期 科学 数学 文学 化学 医学 哲学 留学 同学 开学 大学生 教育 教程 教学 教室 教材 宗教 教授 教师 教练 教会 教我 教师节 教教 佛教 基督教 学者 教堂 学科 学术 力学 法学 学会 学分 学派 心理学 经济学 美学 教案 请教 指教 物理学 生物学 小学英语 家教 自学 学籍 教主 教你 文教 管教 教导 求学
  问题 请问 学问 访问 疑问 顾问 问候 慰问 提问 问卷 答案 回答 解答 报答 答复 询问 答辩 问道 问一下 问下 问问 问君 问答 反问 疑问句 问心
  直接 接受 接口 接近 接着 接待 接触 接收 连接 链接 间接 接送 焊接 挂号 挂机 接下来 接种 迎接 承接 外接 挂科 悬挂 挂件 挂面 挂靠
  给力 送给 交给 供给 留给 嫁给 发给 借给 拿铁 推拿 拿手 拿破仑 拿到 加拿大 给我 给你 给他 给她 分给 补给 给出 给个
  放心 放弃 放大 放屁 放松 放射 放映 播放 开放 解放 排放 存放 释放 放学 放生 放假 发放 绽放 取消 取得 取名 取名字 争取 获取 领取 提取 听取 录取 采取 取代 取景 取暖 取款机 放置 放肆 安放 取证 读取 收取 索取 抽取 选取 换取 录取分数线 录取线 放在 放到 起名 摆放 录取率 取个 汲取
  还是 还有 还要 还会 还能 还可以   还原 归还 还款 还珠格格  还在 还需要 还想 还好 偿还 还债 借口 借助 借鉴 还给 凭借 借记卡 还算 还行 还用 还得 借书
  丢失 丢掉 装修 装饰 安装 服装 包装 装备 装载 假装 组装 西装 西装裤 装逼 武装 装置 童装 时装 装机 重装 装配 拆迁 装系统 装扮 伪装 装作
  大学 穿越 穿越火线 穿越剧 看穿 穿搭 穿帮 穿刺 脱发 脱毛 脱离 摆脱 脱产 脱口秀 解脱 脱水 脱皮 穿衣 虚脱 脱单
  推荐 推广 推出 推销 推理 推荐一下 推动 推荐几 推迟 推拿 推特 推导 推送 推开 推翻 推测 类推 拉萨 拉肚子 巴拉 拉丁 拉拉 拉面 拉链 拉黑 马拉松 拉伸 伊拉克 拉稀 拉斯维加斯 阿拉伯 拉卡拉 可拉 拉萨市 沙拉 洛拉 罗拉 特斯拉 卡拉 芭拉 希拉里 哈拉
  先生 首先 优先 先进 祖先 领先 先天 先锋 先知 事先 先后 原先 先看 李先生 先前 争先 后 先导
  输液 运输 传输 输入法 输卵管 输出 输血 双赢 赢得 输送 输入 赢在
  行业 行为 行动 行李 行政 行驶 行程 行车 银行 旅行 流行 进行 执行 发行 自行车 运行 飞行 步行 可行 不行 行不行 行书 行星 同行 行走 排行 排行榜 例行 建行 工行 农行 中行 招行 列车 系列 排列 列出 列表 以色列 行情 行测 行驶证 修行 品行 五行 实行 言行 一行 人行 下列 前列腺 旅行社 举行 举例 行列 行列式 另行 西行 平行 平行线 横行 列宁
  单位 单机 单独 单身 简单 订单 菜单 单词 单纯 名单 账单 清单 单价 单反 双方 双鱼座 双子座 双胞胎 双色球 双重 双击 双眼皮 单眼皮 双十一 双人 单人 双面 单面 保单 单元 单机游戏 成绩单 双核 单选 双倍 双休 床单 双卡 单调 孤单 单曲 单品 双飞 单号 双号 传单 无双 双语 单一
  生气 先天 天生 学 黑 白 东西 东方 广东 山东 东北 京东 房东 股东 东莞 东京 西安 西瓜 西藏 西游记 广西 江西 山西 陕西 西班牙 西红柿 西方 西门 西洋 巴西 东南 东南亚 西北 西南 新西兰 墨西哥 东海 东营 东风 西湖 马来西亚 关东 丹东 西宁 东台 东汉 西汉 东晋 西晋 东吴 西服 东坡 苏东坡 毛泽东 东城 西城 华东 东野圭吾 东亚 西欧 东欧 中东 西域 莱西 东升 东山 东站 西站 西天 西天取经 梦幻西游 大话西游
  南京 南昌 南宁 南通 湖南 河南 云南 海南 济南 越南 指南 南瓜 南非 南方 北京 湖北 河北 东北 西北 台北 北方 北海 北斗 华北 南阳 南充 江南 南极 北极 南山 北欧 北大 南开 南海 北师大 南沙 北面 南美 北美 南韩 北朝鲜 南北 南风 北风 闽南 西南 东南 淮南 淮北 渭南 南北朝 南站 北站 胡志明 南明 北宋 南宋 北魏 脑白金 南航 南岸 南城
  内容 内存 内向 内衣 内心 内地 内涵 内分泌 内蒙古 内部 室内 国内 体内 内裤 内幕 内在 内科 内置 内外 分内 院内 内马尔 内阁 境内 内测 内网 外网 内痔 外痔 年内 车内 店内 业内 以内 内江 外语 外国 外星 外卖 外婆 外挂 外汇 外贸 外观 外套 另外 例外 意外 此外 外面 国外 格外 户外 海外 外地 外公 外企 外科 外交 外甥 外传 外形 外壳 老外 外国人 除外 外部 室外 外貌 中外 外教 外包 外围 外滩 外链 外设 外地人 外籍
  里程 里面 公里 这里 那里 哪里 里约 里斯本 心里 家里 里程碑 手里 巴厘岛 千里 万里 百里 阿里 阿里巴巴 特里 里皮 城里 眼里 嘴里 肚子里 梦里 意大利 海里 英里 夜里 电影里 游戏里 米里 邻里 在里 水里 歌里 万里长城 一千零一夜 里的
  爱情 爱人 爱好 爱国 可爱 恋爱 亲爱 亲爱的 热爱 爱奇艺 爱因斯坦 爱尔兰 关爱 爱心 爱迪生 做爱 相爱 恨不得 爱上 爱你 我爱 真爱 喜爱 爱的 最爱 爱护 求爱 爱奴 爱乐之城 初恋 爱丽丝 爱慕 爱吃 爱爱 爱疯
  利息 利润 利用 利率 福利 便利 胜利 意大利 权利 有利 利益 顺利 利物浦 利弊 专利 保加利亚 巴黎 保利 水利 伊利 澳大利亚 马利 吉利 奥利奥 比利时 匈牙利 暴利 盈利 利好 营利 利比亚 犀利 智利 高利贷 利群 年利率
  首都 首先 首页 首付 首选 首次 首尔 首饰 周末 期末 末日 粉末 尾巴 首席 首歌 一首 首发 结尾 追尾 元首 末班车 首相 尾号 尾气 收尾 首映 期末考试 首页的 首府
  早 重 除了 除非 删除 解除 排除 除法 清除 废除 开除 除夕 乘客 乘法 乘坐 乘车 除湿 消除 破除 去除 扣除 除甲醛 乘除 除皱 除毛 祛除 乘以 除以
  母亲 父母 字母 母校 母语 云母 酵母 母乳 母婴 丈母娘 航母 母爱 后母 伯母 母鸡 保姆 姨母 母女 母子 继母 乳母 航空母舰 母亲节 祖母 岳母大人
  穷 胖子 胖大海 瘦身 瘦肉 瘦脸 减肥瘦身 瘦腿 瘦腰 肥胖 皮蛋瘦肉粥 瘦西湖 瘦素 长胖
  生死 存在 存储 保存 内存 库存 存款 生存 存钱 取存款 存货 依存 缓存 留存 存折 现存 存活 公存 冻存 存入 储存 共存
  卸妆 卸甲 卸妆水 装卸 装 酸奶 辛苦 苦恼 痛苦 酸辣粉 麻辣 麻辣烫 甜蜜 甜品 麻辣香锅 硫酸 盐酸 碳酸 氨基酸 尿酸 酸菜 吃苦 苦瓜 刻苦 苦笑 辣妹 咸鱼 咸菜 辣椒 酸性 碱性 玻尿酸 乳酸 叶酸 甜美 甜心 苦荞 核酸 酸辣
   单身狗 关公 竖屏 横屏 横幅 纵横 横店 横向 横竖 竖直 横琴 拒绝 亮点 漂亮 月亮 明亮 暗恋 黑暗 暗黑 亮度 暗示 暗黑破坏神 照亮 响亮 暗号 暗影
  晴天 下雨 雨伞 雨衣 雷雨 雨果 雨水 暴雨 谷雨 风雨 阵雨 雨刷 雨季 雨后 雨雪 胡雪岩 听雨 雨花石 阴雨 晴雯 苏打绿 桂纶镁]])

-- -- Numbers ---------------------------------------------------------------------------------------------

local small = { "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
  "fifteen", "sixteen", "seventeen", "eighteen", "nineteen" }
for i, w in ipairs(small) do put(w, CLASS.NUMBER, i, i == 1 and SOFT or 0) end
put("zero", CLASS.NUMBER, 0, SOFT)
for i, w in ipairs{ "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety" } do put(w, CLASS.NUMBER, 10 + 10 * i) end
for i, w in ipairs{ "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth",
  "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth" } do
  put(w, CLASS.NUMBER, i, i <= 2 and SOFT or 0)
end
for i, w in ipairs{ "twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth", "ninetieth" } do
  put(w, CLASS.NUMBER, 10 + 10 * i)
end
for i, w in ipairs{ "ii", "iii", "iv" } do put(w, CLASS.NUMBER, i + 1) end
for i, w in ipairs{ "vi", "vii", "viii", "ix" } do put(w, CLASS.NUMBER, i + 5) end
put("once", CLASS.NUMBER, 1, SOFT)
put("twice", CLASS.NUMBER, 2)
put("double", CLASS.NUMBER, 2, SOFT)
put("triple", CLASS.NUMBER, 3)
put("dozen", CLASS.NUMBER, 12)
words(CLASS.TIMES, "hundred 百 佰", 2)
words(CLASS.TIMES, "thousand 千 仟", 3)
words(CLASS.TIMES, "million", 6)
words(CLASS.TIMES, "billion", 9)
words(CLASS.TIMES, "trillion", 12)
words(CLASS.TIMES, "十 拾", 1)
words(CLASS.TIMES, "万 萬", 4)
words(CLASS.TIMES, "亿 億", 8)
for i, w in ipairs{ "一 壹", "二 两 贰 俩 兩", "三 叁 仨", "四", "五", "六", "七", "八", "九" } do words(CLASS.NUMERAL, w, i) end
words(CLASS.NUMERAL, "零 〇", 0)
words(CLASS.NEUTRAL, [[一样 一般 一起 一直 一定 一些 一点 一点儿 一切 一旦 一向 一律 一致 一块 一会 一会儿 一边 一方面 一共 一系列 一边 统一 唯一 万一 同一 之一 单一 专一 一生 一辈子 一带 一卡通 一帆风顺 一流 一见钟情 一心
  十分 十足 百度 百科 百合 百姓 百家姓 百事 百货 百年 百变 百出 百搭 老百姓 千万 千克 千米 千年 千金 千古 千里 千千 千与千寻 万达 万能 万岁 万物 万科 万圣节 万历 万家 万象 万象城 亿万 亿达
  二手 二手房 二手车 二维码 二胎 二奶 二货 二叔 二次元 二战 老二 二氧化碳 二氧化硫 二逼 二师兄 二哈 二甲 二建 一建 二本 一本 三本 二级 三国 三亚 三星 三明治 三峡 三角形 三角 三角函数 三生三世 三毛 三明 三国演义 三国杀 三国志 三原色 三轮车 三文鱼 三农 三观 三七 再三 三门峡 三好学生 张三 李四 王五
  四川 四川省 四平 四季 四肢 四级 六级 四大名著 五一 五星 五金 五行 五线谱 五笔 五谷 五花肉 五官 五月天 六一 六神 六合彩 六安 六盘水 七夕 七喜 七匹狼 八卦 八字 八宝粥 八路军 八达岭 八戒 猪八戒 九江 九寨沟 九阳 九阴真经 九州 王八 王八蛋
  一二线 零食 零售 零花钱 零件 凋零 零度 零基础 零钱 两性 两国 两边 两会 两岸 两栖 两极 双两 斤两 一次性 一个劲 一线 二线 三线 一中 二中 三中 一号线 二号线 一本书 十字绣 十字架 十三香 十堰 红十字 十字路口 十一黄金周 万花筒 一模一样 一建 第一次 一般的 一般来说]])

-- -- Units --------------------------------------------------------------------------------------------------

-- ORDER guard_numbers.c: the first nine.
local units = [[
percent per_cent pct 百分点
dollar usd us_dollar buck 美元 美金 刀
euro eur 欧元
pound_sterling gbp 英镑 quid
yuan rmb cny renminbi 元 块 块钱 人民币 元钱
month 个月 月 mo
year yr 年 years_old
day 天 日 号
oclock 点 点钟 时
]]
local loose = [[
jpy yen 日元
krw won 韩元
hkd 港币 港元
inr rupee 卢比
rub ruble 卢布
cad canadian_dollar 加元
aud australian_dollar 澳元
chf franc 法郎
bitcoin btc 比特币
twd 台币
kilometer kilometre km 公里 千米
mile 英里
公尺
centimeter centimetre cm 厘米 公分
millimeter millimetre mm 毫米
inch 英寸
feet foot ft 英尺
nanometer nm 纳米
kilogram kg kilo 公斤 千克
gram 克
pound lb lbs 磅
ounce oz 盎司
ton tonne 吨
milligram mg 毫克
liter litre 升
milliliter millilitre ml 毫升
gallon 加仑
celsius centigrade 摄氏度 摄氏
fahrenheit 华氏度 华氏
kelvin 开尔文
degree 度
radian 弧度
hour hr hrs 小时 个小时 钟头 个钟头
minute min mins 分钟
week 周 星期 个星期 礼拜 个礼拜
decade
century 世纪
millisecond ms 毫秒
microsecond us 微秒
nanosecond ns 纳秒
kilobyte kb kib
megabyte mb mib 兆
gigabyte gb gib
terabyte tb tib
hertz hz 赫兹
megahertz mhz
gigahertz ghz
watt 瓦
kilowatt kw 千瓦
volt 伏
ampere amp 安培
joule 焦耳
calorie 卡路里 大卡
acre 英亩
hectare 公顷
亩
平方米 平米 square_meter square_metre sqm
平方公里 square_kilometer
立方米 cubic_meter
knot
pixel px 像素
cup
tablespoon tbsp
teaspoon tsp
斤
]]
local tight = [[
m meter metre 米
g
c
f
s sec secs second 秒 秒钟
h
d
l
w
v
k
t
b byte bytes 字节
bit bits 比特
角 毛 毛钱
分
岁 周岁
倍 times
折
寸
尺
里
钱
cent cents
页 page pages
word words 字 个字
character characters 字符
sentence sentences 句 句话
paragraph paragraphs 段 段话
]]
local last = lines(CLASS.UNIT, units)
for _, w in ipairs{ { "dollar usd us_dollar 美元 美金", 2 }, { "euro eur 欧元", 3 }, { "gbp 英镑 pound_sterling", 4 },
                    { "yuan rmb cny renminbi 人民币", 5 } } do
  words(CLASS.UNIT, w[1], w[2], LOOSE)
end
last = lines(CLASS.UNIT, loose, LOOSE, last)
last = lines(CLASS.UNIT, tight, 0, last)
for _, w in ipairs{ "week", "hour", "minute", "度", "周", "星期", "礼拜", "斤", "亩", "升", "克", "cup", "knot", "min", "us", "ms", "won", "pound", "feet", "foot", "kilo", "degree", "瓦", "伏", "吨", "兆" } do
  for _, e in ipairs(data[w] or {}) do if e.class == CLASS.UNIT then e.flags = bit.band(e.flags, bit.bnot(LOOSE)) end end
end

-- -- Dates -----------------------------------------------------------------------------------------------------

-- The first twelve are months.
local months = { "january jan", "february feb", "march", "april apr", "may", "june jun", "july jul", "august aug", "september sep sept", "october oct",
  "november nov", "december dec" }
for i, w in ipairs(months) do words(CLASS.DATE, w, i, (i == 3 or i == 5 or i == 8) and CAPITAL or 0) end
words(CLASS.DATE, "mar", 3, CAPITAL)
local day_names = { "monday mon", "tuesday tue tues", "wednesday", "thursday thu thurs", "friday fri", "saturday", "sunday" }
for i, w in ipairs(day_names) do
  words(CLASS.DATE, w, 20 + i)
  local c = ({ "一", "二", "三", "四", "五", "六", "日" })[i]
  words(CLASS.DATE, ("周%s 星期%s 礼拜%s"):format(c, c, c), 20 + i)
end
words(CLASS.DATE, "周天 星期天 礼拜天", 27)
lines(CLASS.DATE, [[
yesterday 昨天 昨日
tomorrow 明天 明日
后天 day_after_tomorrow the_day_after_tomorrow
前天 the_day_before_yesterday day_before_yesterday
tonight 今晚 今夜
last_night 昨晚 昨夜
明晚
明早
last_week 上周 上个星期 上星期 上个礼拜
next_week 下周 下个星期 下星期 下个礼拜
this_week 本周 这周 这个星期 这星期
last_month 上个月 上月
next_month 下个月 下月
this_month 本月 这个月
last_year 去年
next_year 明年
前年
后年
weekend 周末
weekday weekdays 工作日
next_monday 下周一
last_monday 上周一
morning 早上 早晨 上午 清晨 清早
noon midday 中午 正午
afternoon 下午 午后
evening 傍晚
night 晚上 夜里 夜晚
midnight 半夜 午夜 深夜
dawn 凌晨 黎明
springtime 春天 春季
summer 夏天 夏季
autumn 秋天 秋季
winter 冬天 冬季
上半年
下半年
年初
年底
last_time 上次
next_time 下次
christmas 圣诞节 圣诞
easter 复活节
halloween 万圣节
thanksgiving 感恩节
new_years_eve 除夕
new_years_day 元旦
春节 过年 大年 lunar_new_year chinese_new_year spring_festival
元宵节
清明节 清明
端午节 端午
七夕
中秋节 中秋 mid_autumn_festival
重阳节
国庆节 国庆
劳动节 五一
儿童节 六一
情人节 valentines_day
母亲节 mothers_day
父亲节 fathers_day
寒假
暑假
bc
monthly every_month each_month
weekly every_week each_week
daily every_day each_day
yearly annual annually every_year each_year once_a_year
hourly
century_ago
]], 0, 40)
words(CLASS.DATE, "today 今天 今日", 39, SOFT)
words(CLASS.DATE, "this_year 今年 本年", 37, SOFT)
words(CLASS.DATE, "now currently nowadays 现在 目前 如今 当前 眼下 最近", 38, SOFT)

-- -- Languages, formats ---------------------------------------------------------------------------------------------

local name_id = 0
-- Each line: one thing under all its names.  Returns nothing; languages share ids with their countries.
local function names(text, flags) name_id = lines(CLASS.NAME, text, flags, name_id) end

local languages = {
  { "english", "英文 英语", "" }, { "chinese mandarin", "中文 汉语 普通话 国语", "" }, { "cantonese", "粤语 广东话", "" },
  { "french", "法语 法文", "france 法国" }, { "german", "德语 德文", "germany 德国" }, { "spanish", "西班牙语 西语", "spain 西班牙" },
  { "italian", "意大利语", "italy 意大利" }, { "portuguese", "葡萄牙语 葡语", "portugal 葡萄牙" }, { "russian", "俄语 俄文", "russia 俄罗斯 俄国" },
  { "japanese", "日语 日文", "japan 日本" }, { "korean", "韩语 韩文 朝鲜语", "korea 韩国 south_korea" }, { "arabic", "阿拉伯语", "" },
  { "hindi", "印地语", "" }, { "turkish", "土耳其语", "土耳其" }, { "dutch", "荷兰语", "netherlands holland 荷兰" }, { "swedish", "瑞典语", "sweden 瑞典" },
  { "polish_", "波兰语", "poland 波兰" }, { "greek", "希腊语", "greece 希腊" }, { "thai", "泰语 泰文", "thailand 泰国" },
  { "vietnamese", "越南语", "vietnam 越南" }, { "latin", "拉丁语 拉丁文", "" }, { "hebrew", "希伯来语", "israel 以色列" }, { "danish", "丹麦语", "denmark 丹麦" },
  { "finnish", "芬兰语", "finland 芬兰" }, { "norwegian", "挪威语", "norway 挪威" }, { "indonesian", "印尼语", "indonesia 印度尼西亚 印尼" },
  { "ukrainian", "乌克兰语", "ukraine 乌克兰" }, { "czech", "捷克语", "czechia 捷克" }, { "hungarian", "匈牙利语", "hungary 匈牙利" },
  { "simplified_chinese", "简体 简体中文 简体字", "" }, { "traditional_chinese", "繁体 繁体中文 繁体字", "" }, { "malay", "马来语", "malaysia 马来西亚" },
}
for i, l in ipairs(languages) do
  words(CLASS.LANGUAGE, l[1] == "polish_" and "" or l[1], i, SOFT)
  if l[1] == "polish_" then words(CLASS.LANGUAGE, "polish", i, SOFT + CAPITAL) end
  words(CLASS.LANGUAGE, l[2], i)
  words(CLASS.NAME, l[3], 1500 + i) -- ORDER guard_facts.c: its country
end
words(CLASS.NAME, "turkey", 1514, CAPITAL)

local format_last = lines(CLASS.FORMAT, [[
json
yaml yml
xml
csv
markdown
as_a_table in_a_table table_format in_table_form into_a_table as_table tabular in_tabular_form in_table_format 表格
as_a_list in_a_list as_list bullet bullets bullet_points bullet_point bulleted_list bulleted numbered_list in_list_form as_bullets 列表 列表形式 分点 要点
in_one_sentence in_a_sentence one_sentence single_sentence in_a_single_sentence 一句话
in_one_paragraph as_a_paragraph in_a_paragraph one_paragraph single_paragraph 一段话
step_by_step 分步骤 一步一步 一步步
as_a_poem in_verse haiku limerick 写成诗 以诗
as_an_email 邮件形式
pseudocode 伪代码
flowchart 流程图
one_word in_one_word 一个词
eli5 like_im_five
in_bold
as_an_essay 作文 essay
as_code 代码形式
plain_text 纯文本
yes_or_no
]])
-- These may be left out.
lines(CLASS.FORMAT, [[
briefly brief concise concisely short_answer in_short in_brief shortly summarize summary succinctly 简要 简要地 简述 简短 简短地 简洁 简单介绍 简单说 简单地 简略 简明 概述 概括
detailed in_detail detail details thoroughly at_length comprehensive comprehensively in_depth elaborate 详细 详细地 详述 具体 详尽 详解 深入
]], SOFT, format_last)

-- -- Names ---------------------------------------------------------------------------------------------------------------

names([[
china 中国 prc
usa us america american united_states 美国 u_s
uk britain british united_kingdom england 英国
canada canadian 加拿大
mexico mexican 墨西哥
brazil brazilian 巴西
argentina argentinian 阿根廷
chile 智利
peru 秘鲁
colombia 哥伦比亚
cuba 古巴
australia australian 澳大利亚 澳洲
india indian 印度
pakistan 巴基斯坦
bangladesh 孟加拉
nepal 尼泊尔
afghanistan 阿富汗
iran iranian 伊朗
iraq 伊拉克
saudi_arabia 沙特
egypt egyptian 埃及
nigeria 尼日利亚
kenya 肯尼亚
ethiopia 埃塞俄比亚
south_africa 南非
morocco 摩洛哥
switzerland swiss 瑞士
austria austrian 奥地利
belgium 比利时
ireland irish 爱尔兰
scotland 苏格兰
wales 威尔士
iceland 冰岛
new_zealand 新西兰
singapore 新加坡
philippines 菲律宾
myanmar 缅甸
cambodia 柬埔寨
laos 老挝
mongolia 蒙古
north_korea 朝鲜
taiwan 台湾
hong_kong 香港
macau 澳门
romania 罗马尼亚
bulgaria 保加利亚
serbia 塞尔维亚
croatia 克罗地亚
europe european 欧洲
asia asian 亚洲
africa african 非洲
antarctica 南极洲 南极
arctic 北极
south_america 南美 南美洲
north_america 北美 北美洲
dubai 迪拜
paris 巴黎
london 伦敦
berlin 柏林
munich 慕尼黑
rome 罗马
milan 米兰
venice 威尼斯
madrid 马德里
barcelona 巴塞罗那 巴萨
lisbon 里斯本
amsterdam 阿姆斯特丹
vienna 维也纳
zurich 苏黎世
geneva 日内瓦
moscow 莫斯科
tokyo 东京
osaka 大阪
kyoto 京都
seoul 首尔
bangkok 曼谷
delhi 德里
mumbai 孟买
sydney 悉尼
melbourne 墨尔本
new_york new_york_city nyc 纽约
los_angeles 洛杉矶
san_francisco 旧金山
chicago 芝加哥
boston 波士顿
seattle 西雅图
houston 休斯顿
washington 华盛顿
toronto 多伦多
vancouver 温哥华
california 加州 加利福尼亚
texas 德州
florida 佛罗里达
hawaii 夏威夷
beijing 北京
shanghai 上海
guangzhou 广州
shenzhen 深圳
tianjin 天津
chongqing 重庆
chengdu 成都
hangzhou 杭州
suzhou 苏州
nanjing 南京
wuhan 武汉
xian 西安
changsha 长沙
zhengzhou 郑州
qingdao 青岛
dalian 大连
xiamen 厦门
ningbo 宁波
shenyang 沈阳
harbin 哈尔滨
jinan 济南
kunming 昆明
sanya 三亚
lhasa 拉萨
济宁
合肥
福州
南昌
南宁
贵阳
兰州
太原
石家庄
呼和浩特
银川
西宁
乌鲁木齐
海口
长春
无锡
常州
南通
徐州
扬州
温州
金华
绍兴
嘉兴
佛山
东莞
珠海
中山
惠州
汕头
桂林
洛阳
烟台
威海
潍坊
唐山
保定
邯郸
廊坊
秦皇岛
大同
包头
泉州
漳州
宜昌
襄阳
株洲
岳阳
绵阳
遵义
丽江
大理
黄山
张家界
九寨沟
河北
山西
辽宁
吉林
黑龙江
江苏
浙江
安徽
福建
江西
山东
河南
湖北
湖南
广东
广西
海南
四川
贵州
云南
陕西
甘肃
青海
宁夏
新疆
西藏
内蒙古
浦东
海淀
朝阳区
天河
everest 珠穆朗玛 珠峰
泰山
华山
峨眉山
长江 yangtze
黄河 yellow_river
amazon_river
nile
长城 great_wall
故宫 forbidden_city
天安门
西湖
]])
names([[
python
java
javascript js
typescript ts
c++ cpp
c#
rust
golang
ruby
php
perl
kotlin
swift
scala
haskell
lua
matlab
cobol
fortran
html
css
sql
bash
powershell
mysql
postgresql postgres
sqlite
mongodb
redis
cassandra
elasticsearch
oracle 甲骨文
react
angular
vue
svelte
django
flask
spring_boot
laravel
jquery
nodejs
numpy
pandas
tensorflow
pytorch
keras
docker
kubernetes k8s
jenkins
terraform
ansible
nginx
apache
kafka
rabbitmq
hadoop
spark
git
github
gitlab
svn
vim
emacs
vscode
eclipse
intellij
windows
linux
macos
ubuntu
debian
fedora
centos
android 安卓
iphone 苹果手机
ipad
macbook
chrome 谷歌浏览器
firefox 火狐
safari
excel
powerpoint ppt
photoshop
illustrator
autocad cad
wordpress
shopify
slack
zoom
skype
whatsapp
telegram
discord
facebook 脸书
instagram
twitter 推特
youtube
tiktok 抖音
netflix
spotify
google 谷歌
microsoft 微软
amazon 亚马逊
apple_inc
tesla 特斯拉
toyota 丰田
honda 本田
nissan 日产
mazda 马自达
volkswagen 大众
bmw 宝马
mercedes benz 奔驰
audi 奥迪
ferrari 法拉利
porsche 保时捷
ford_motor 福特
hyundai 现代汽车
比亚迪 byd
吉利
五菱
哈弗
samsung 三星
nokia 诺基亚
sony 索尼
huawei 华为
xiaomi 小米
oppo
vivo
魅族
荣耀
lenovo 联想
dell 戴尔
惠普
asus 华硕
acer 宏碁
intel 英特尔
amd
nvidia 英伟达
wechat 微信
qq 扣扣
微博 weibo
淘宝 taobao
天猫
京东
拼多多
支付宝 alipay
百度 baidu
腾讯 tencent
阿里巴巴 alibaba
网易
新浪
搜狐
美团
饿了么
滴滴
快手
知乎
豆瓣
爱奇艺
优酷
土豆
陌陌
唯品会
苏宁
携程
中国移动 移动
中国联通 联通
中国电信 电信
工商银行 工行
农业银行 农行
建设银行 建行
中国银行 中行
招商银行 招行
交通银行 交行
邮政
顺丰
圆通
申通
中通
韵达
nike 耐克
adidas 阿迪达斯 阿迪
肯德基 kfc
麦当劳 mcdonalds
必胜客
星巴克 starbucks
可口可乐 coca_cola
百事可乐 pepsi
茅台
五粮液
格力
美的
海尔
tcl
chatgpt
claude
gemini
llama
bert
王者荣耀
英雄联盟 lol
穿越火线 cf
地下城 dnf
梦幻西游
魔兽世界
魔兽争霸
刀塔 dota
绝地求生
和平精英
我的世界 minecraft
红楼梦
西游记
水浒传
三国演义
李白
杜甫
白居易
苏轼 苏东坡
孔子 confucius
孟子
老子
庄子
鲁迅
曹操
刘备
诸葛亮
秦始皇
汉武帝
李世民
武则天
朱元璋
康熙
乾隆
毛泽东
周恩来
邓小平
周杰伦
刘德华
林俊杰
成龙
李连杰
姚明
刘翔
乔丹
詹姆斯
科比
梅西
einstein 爱因斯坦
newton 牛顿
darwin 达尔文
tesla_nikola
edison 爱迪生
galileo 伽利略
shakespeare 莎士比亚
beethoven 贝多芬
mozart 莫扎特
bach 巴赫
picasso 毕加索
napoleon 拿破仑
hitler 希特勒
lincoln 林肯
obama 奥巴马
trump 特朗普
biden 拜登
putin 普京
gandhi 甘地
plato 柏拉图
aristotle 亚里士多德
socrates 苏格拉底
buddha
jesus
christianity christian 基督教
islam muslim 伊斯兰教
buddhism buddhist 佛教
hinduism hindu
judaism jewish
taoism 道教
venus 金星
mars 火星
jupiter 木星
saturn 土星
uranus 天王星
neptune 海王星
pluto 冥王星
moon 月球 月亮
mercury 水星
telescope 望远镜
microscope 显微镜
oxygen 氧气
hydrogen 氢气
nitrogen 氮气
helium 氦气
silver 白银
copper
aluminum aluminium
白羊座
金牛座
双子座
巨蟹座
狮子座
处女座
天秤座
天蝎座
射手座
摩羯座
水瓶座
双鱼座
nba
cba
fifa
nasa
esa
unicef
nato
iso
ielts 雅思
toefl 托福
gre
gmat
sat
考研
高考
中考
公务员
教师资格证
pdf
docx
jpeg jpg
png
gif
mp
http
https
tcp
udp
ftp
ssh
dns
ipv
rest
graphql
grpc
cpu
gpu
ram
ssd
hdd
usb
hdmi
bluetooth 蓝牙
football soccer 足球
basketball 篮球
tennis 网球
badminton 羽毛球
volleyball 排球
table_tennis ping_pong 乒乓球
piano 钢琴
guitar 吉他
violin 小提琴
bass
coffee 咖啡
beer 啤酒
wine
whisky whiskey
milk 牛奶
rice 大米
diabetes 糖尿病
cancer 癌症
covid 新冠
influenza flu
asthma 哮喘
pneumonia 肺炎
hepatitis 肝炎
感冒
发烧
咳嗽
头痛 头疼
胃痛 胃疼
失眠
aspirin 阿司匹林
ibuprofen 布洛芬
amoxicillin 阿莫西林
]])

-- Things of one kind: said in one text only they mean little, but each is another thing than the others.
names([[
cat kitten 猫 猫咪
dog puppy 狗 狗狗 小狗
rabbit 兔子
hamster 仓鼠
horse pony 马匹
cow cattle 奶牛 牛
sheep 绵羊
goat 山羊
pig 猪
chicken hen 鸡
duck 鸭子
goose 鹅
turtle tortoise 乌龟
goldfish 金鱼
parrot 鹦鹉
snake 蛇
lizard 蜥蜴
tiger 老虎
lion 狮子
leopard 豹子
wolf 狼
fox 狐狸
熊
elephant 大象
giraffe 长颈鹿
monkey 猴子
gorilla 大猩猩
panda 熊猫
koala 考拉
kangaroo 袋鼠
whale 鲸鱼
dolphin 海豚
shark 鲨鱼
penguin 企鹅
eagle 老鹰
owl 猫头鹰
bee 蜜蜂
ant 蚂蚁
butterfly 蝴蝶
spider 蜘蛛
mosquito 蚊子
cockroach 蟑螂
老鼠
salmon 三文鱼
tuna 金枪鱼
lobster 龙虾
shrimp prawn 虾
crab 螃蟹
oyster 生蚝
beef 牛肉
pork 猪肉
mutton lamb 羊肉
红烧肉
糖醋排骨
apple 苹果
banana 香蕉
orange 橙子
pear 梨
peach 桃子
grape 葡萄
strawberry 草莓
watermelon 西瓜
pineapple 菠萝
mango 芒果
cherry 樱桃
lemon 柠檬
tomato 西红柿 番茄
potato 土豆 马铃薯
carrot 胡萝卜
cucumber 黄瓜
onion 洋葱
garlic 大蒜
ginger 生姜
cabbage 白菜
spinach 菠菜
broccoli 西兰花
mushroom 蘑菇
pumpkin 南瓜
eggplant 茄子
pepper 辣椒
almond 杏仁
walnut 核桃
peanut 花生
cashew 腰果
oregano
parsley 香菜
basil 罗勒
cinnamon
wheat 小麦
corn 玉米
oats oatmeal 燕麦
noodle 面条
dumpling 饺子
包子
馒头
bread 面包
cake 蛋糕
cheese 奶酪
butter 黄油
yogurt 酸奶
chocolate 巧克力
honey 蜂蜜
sugar 白糖
salt 食盐
vinegar 醋
tea 茶叶
juice 果汁
vodka
white_wine 白葡萄酒
red_wine 红葡萄酒
red 红色
blue 蓝色
green 绿色
yellow 黄色
purple 紫色
pink 粉色
brown 棕色
gray grey 灰色
black 黑色
white 白色
eye 眼睛
ear 耳朵
nose 鼻子
mouth 嘴巴
tooth teeth 牙齿
tongue 舌头
throat 喉咙
neck 脖子
shoulder 肩膀
elbow 手肘
wrist 手腕
finger 手指
knee 膝盖
ankle 脚踝
toe 脚趾
heart 心脏
liver 肝脏
kidney 肾脏
lung 肺部
stomach 胃
brain 大脑
skin 皮肤
metformin 二甲双胍
warfarin 华法林
insulin 胰岛素
penicillin 青霉素
头孢
铁
steel 钢
brass 黄铜
zinc 锌
titanium 钛
math mathematics maths 数学
physics 物理
chemistry 化学
biology 生物
history 历史
geography 地理
语文
car automobile 汽车 轿车
bus 公交车
train 火车
plane airplane 飞机
bicycle bike 自行车
motorcycle 摩托车
subway metro 地铁
高铁
taxi 出租车
boat ship 轮船
truck 卡车
kitchen 厨房
bedroom 卧室
bathroom 浴室 卫生间
balcony 阳台
garage 车库
fridge refrigerator 冰箱
washing_machine 洗衣机
air_conditioner 空调
television tv 电视 电视机
microwave 微波炉
oven 烤箱
dishwasher 洗碗机
电饭煲
laptop 笔记本电脑
printer 打印机
keyboard 键盘
monitor 显示器
router 路由器
camera 相机
passport 护照
visa 签证
身份证
驾照 驾驶证
户口本
结婚证
房产证
社保
公积金
lawyer attorney 律师
nurse 护士
engineer 工程师
accountant 会计
policeman 警察
rose roses 玫瑰
tulip 郁金香
lily 百合
orchid 兰花
sunflower 向日葵
lavender 薰衣草
cactus 仙人掌
hair 头发
nail nails fingernail 指甲
beard 胡子
eyebrow 眉毛
eyelash 睫毛
mussel 青口 贻贝
clam 蛤蜊
cod 鳕鱼
trout 鳟鱼
sausage 香肠
pasta spaghetti 意面
pizza 披萨
glasses spectacles 眼镜
hat hats 帽子
shoe shoes 鞋子
trousers pants 裤子
scarf 围巾
glove gloves 手套
sock socks 袜子
waiter waitress 服务员
driver 司机
guide 导游
hairdresser barber 理发师
courier 快递员
]], SOFT)
for _, w in ipairs{ "us" } do -- a pronoun, too
  for _, e in ipairs(data[w]) do if e.class == CLASS.NAME then e.flags = bit.bor(e.flags, CAPITAL) end end
end
for _, w in ipairs{ "swift", "rust", "ruby", "spark", "apache", "react", "oracle", "eclipse", "spring boot", "slack", "zoom", "safari", "rest", "wales", "cuba", "mars", "mercedes",
  "excel", "windows", "chile", "trump", "bass", "sat", "ram", "iso" } do
  for _, e in ipairs(data[w] or {}) do if e.class == CLASS.NAME then e.flags = bit.bor(e.flags, CAPITAL) end end
end

-- Negated words get what they negate.
for item in negated:gmatch("%S+") do
  local word, base = item:match("^(.-)=(.*)$")
  local found = false
  for _, e in ipairs(data[word] or {}) do found = found or e.class == CLASS.OPPOSITE end
  if not found then
    put(word, CLASS.NEGATION, 0)
    for _, e in ipairs(data[base] or {}) do
      if e.class == CLASS.OPPOSITE then put(word, CLASS.OPPOSITE, e.id, e.flags) end
    end
  end
end

-- -- Hashing ------------------------------------------------------------------------------------------------------------

local u32 = 0xFFFFFFFFULL
local function hash_word(w)
  local h = 0x811C9DC5ULL
  for i = 1, #w do h = bit.band(bit.bxor(h, w:byte(i)) * 0x01000193ULL, u32) end
  return h
end
local function row(h, word)
  h = bit.band(bit.bxor(h * 31, word) * 0x9E3779B1ULL, u32)
  h = bit.band(bit.bxor(h, bit.rshift(h, 15)) * 0x85EBCA77ULL, u32)
  return bit.bxor(h, bit.rshift(h, 13))
end

-- -- Synonyms --------------------------------------------------------------------------------------------------------------

-- Words that mean the same in a question, and of which the table of vectors (guard_replaced.c) does not know it.  A line is a list.
local function mean_the_same(text)
  for line in text:gmatch("[^\n]+") do
    local list = {}
    each(line, function(w) list[#list + 1] = w end)
    if #list > 0 then synonyms[#synonyms + 1] = list end
  end
end

mean_the_same[[
find calculate compute determine work_out
train prepare practice
cause trigger
recommend suggest
help tips advice
view see check
show display
fix repair mend restore
choose pick select
quit stop
create build make construct produce
change modify alter edit update adjust
remove delete erase clear eliminate
get obtain receive acquire
buy purchase order
begin start launch
finish complete end
main primary principal chief
important essential crucial
correct proper right
big large huge
fast quick rapid speedy
hard difficult tough
easy simple
ill sick unwell
store shop
keep store save
wash clean
kind type sort category
sign symptom
purpose goal aim
job work occupation profession
contact reach
allow permit let
verify confirm check validate
convert transform turn translate
merge combine join
split divide separate
improve enhance boost increase
reduce lower decrease cut
avoid prevent
protect guard
answer reply respond
explain describe clarify
search look find locate
error mistake bug fault
client customer
trip journey travel
picture photo image
movie film
kids children
woman lady
man guy
doctor physician
lawyer attorney
drug medicine medication
car vehicle automobile
pain ache hurt
meal food dish
house home
salary wage pay income
money cash
company firm business
employee worker staff
boss manager
rubbish trash garbage waste
holiday vacation
flat apartment
lift elevator
autumn fall
petrol gas gasoline
mobile cellphone phone
program application app software
site website page
directory folder
common typical usual
normal regular
weird strange odd
safe secure
true real actual
whole entire
rude impolite
risky dangerous
happy glad
angry mad
funny humorous
smart clever intelligent
rich wealthy
wrong incorrect
often frequently
place location spot
part piece section
problem issue trouble
function role
subject topic
meaning definition
reason cause
result outcome effect
benefit advantage
drawback disadvantage
rule regulation
method technique approach
]]

mean_the_same[[
户 号
慢 卡
自行车 单车 脚踏车
西红柿 番茄
土豆 马铃薯
玉米 苞谷 苞米
地瓜 红薯 番薯
花生 长生果
出租车 的士 计程车
公交车 公交 公共汽车 巴士
地铁 轨道交通
酒店 宾馆 旅馆 旅店
饭店 餐馆 餐厅 饭馆 酒楼
商店 店铺 店面 铺子
超市 卖场
坏 坏了 故障 出故障
漂亮 好看 美丽 美观
照片 相片 图片 图像
按照 根据 依照
区别 差别 差异 不同
职业 工作
写 撰写
举办 召开 举行
像 类似
特征 症状 表现
提现 取出 取现
链接 地址 网址
址 链接
起 取
解释 意思 含义
查 找 搜 搜索 查找 寻找 寻
偷 盗
总结 归纳 汇总
引起 造成 导致 引发
交 缴纳 缴 支付 付
总是 老是 老 总 经常
突然 忽然
调整 更改 修改 改 变更 更换 换
门口 附近 旁边
旅游 游玩 旅行
工资 薪水 薪资 工钱 收入
疼 痛
钱 款 费用 价格 价钱 价位
有效 管用 有用 成功
图 屏
放 开始
作 写
自行 单
简单 容易 轻松
困难 难
危险 风险
安全 可靠 靠谱
赚钱 挣钱
赚 挣
扔 丢 扔掉 丢弃
药 药物 药品
副作用 不良反应
电脑 计算机
手机 移动电话
软件 应用 程序
功能 作用 用途
好处 益处 优点 优势
坏处 害处 缺点 弊端
技巧 窍门 诀窍 方法
顾客 客户 客人
卖家 商家 店家
女士 女生 女性 女人 女孩 女
男士 男生 男性 男人 男孩 男
孩子 小孩 儿童 小朋友
宝宝 婴儿 宝贝
爸爸 父亲 爸 老爸
妈妈 母亲 妈 老妈
老公 丈夫 先生
老婆 妻子 太太 媳妇
医生 大夫 医师
老师 教师
歌 歌曲 曲子
电影 影片 片子
电视剧 连续剧 剧集
视频 录像
饭 米饭
做 制作 弄
洗 清洗 清洁
买 购买 选购 购
卖 出售 销售
选 挑 选择 挑选
办 办理 申请 申办
新建 创建 建立 建
删除 清除 去掉 去除 删掉 移除
恢复 还原 找回
保存 储存 存放 存储
修 维修 修理
治 治疗 医治 治好
学 学习
用 使用 运用 操作
设置 设定 配置
联系 联络
回答 回复 答复
开门 营业
增强 提高 提升 增加 加强 改善
减少 降低 减轻
保护 爱护
安抚 安慰
营养 养分
迅速 快 快速 赶快 尽快
马上 立刻 立即
现在 目前 如今
以前 之前 从前
以后 之后 今后
全部 所有
世界 全世界 全球
朋友 好友
地方 地点 位置
牌子 品牌
种类 类型 类别
原因 缘故
结果 后果
消息 信息
资料 材料
办法 方法
时间 时候
邮寄 寄 寄送
快递 包裹
]]

-- The tokens of a row: words of ASCII, single characters of Chinese.
local function tokens(text)
  local out = {}
  for part in text:gmatch("%S+") do
    while #part > 0 do
      local ascii = part:match("^[%w+#]+")
      local token = ascii or part:match("^[\xE0-\xEF][\x80-\xBF][\x80-\xBF]") or error("what is " .. text)
      out[#out + 1] = token
      part = part:sub(#token + 1)
    end
  end
  return out
end

local by_hash, order = {}, {}
local function entry(h, e)
  local key = tonumber(h)
  if not by_hash[key] then
    by_hash[key] = {}
    order[#order + 1] = key
  end
  local list = by_hash[key]
  for _, have in ipairs(list) do
    if have.class == e.class and have.id == e.id then return end
  end
  if e.class == CLASS.PREFIX then table.insert(list, 1, e) else list[#list + 1] = e end
end

local SYNONYMS = 0x9747B28CULL -- ORDER guard_int.h WORD_SYNONYMS
for id, list in ipairs(synonyms) do
  for _, text in ipairs(list) do
    local h = SYNONYMS
    for _, token in ipairs(tokens(text)) do h = row(h, hash_word(token)) end
    entry(h, { class = CLASS.SYNONYM, id = id, flags = 0 })
  end
end

for text, entries in pairs(data) do
  local list = tokens(text)
  if #list > 8 then error("too long: " .. text) end
  local h = 0x811C9DC5ULL
  for i, token in ipairs(list) do
    h = row(h, hash_word(token))
    if i < #list then entry(h, { class = CLASS.PREFIX, id = 0, flags = 0 }) end
  end
  table.sort(entries, function(a, b) return a.class < b.class or (a.class == b.class and a.id < b.id) end)
  for _, e in ipairs(entries) do entry(h, e) end
end
table.sort(order)

-- -- Writing --------------------------------------------------------------------------------------------------------------

local BITS = 10
local hashes, kinds, index, count = {}, {}, {}, 0
for _, key in ipairs(order) do
  local bucket = math.floor(key / 2 ^ (32 - BITS))
  for b = #index, bucket do index[b + 1] = ("%d"):format(count) end
  table.sort(by_hash[key], function(a, b) return a.class < b.class or (a.class == b.class and a.id < b.id) end)
  for _, e in ipairs(by_hash[key]) do
    hashes[#hashes + 1] = ("%d"):format(key % 2 ^ (32 - BITS))
    kinds[#kinds + 1] = ("%d"):format(e.class + e.flags * 16 + e.id * 2048)
    count = count + 1
  end
end
for b = #index, 2 ^ BITS do index[b + 1] = ("%d"):format(count) end
-- What the types in guard_int.h and below hold.
if count >= 65536 then error("too many words for guard_word_index: " .. count) end
if pairs_count >= 65536 then error("too many pairs for struct guard_word: " .. pairs_count) end

local function array(what, type, name, list)
  local out, line = { "/* " .. what .. " */", ("static const %s %s[] = {"):format(type, name) }, ""
  for _, item in ipairs(list) do
    if #line + #item + 1 > 118 then
      out[#out + 1] = line
      line = ""
    end
    line = line .. item .. ","
  end
  out[#out + 1] = line
  return table.concat(out, "\n") .. "\n};\n\n"
end

local function header(name, text, by)
  local guard = "PERILUNE_SEMANTIC_" .. name:upper():gsub("%.", "_")
  local f = assert(io.open("core/semantic/" .. name, "w"))
  f:write("/* ", name, " -- made by guard_words.lua, which has the words. Included ", by or "once, by guard_words.c", ". */\n",
    "#ifndef ", guard, "\n#define ", guard, "\n\n", text, "#endif\n")
  f:close()
end

header("guard_words_hash.h", ("#define GUARD_WORDS_BITS %d\n\n"):format(BITS)
  .. array("Without the bits in front; ascending with them.", "uint32_t", "guard_word_hashes", hashes)
  .. array("Where those begin that have these bits in front.", "uint16_t", "guard_word_index", index))
header("guard_words_kind.h", array("Class, flags * 16, id * 2048: by place in guard_word_hashes.", "uint32_t", "guard_word_kinds", kinds))
header("guard_words_pairs.h", ("#define GUARD_WORDS_PAIRS %d /* of opposites: ids are below */\n\n"):format(pairs_count), "by guard_int.h")
