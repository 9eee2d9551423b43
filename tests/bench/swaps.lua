-- swaps.lua -- questions that look alike and do not have the same answer: is each pair told apart?
--
--   luajit tests/bench/swaps.lua [fresh | replaced | pairs | FILE]
--
-- Every case takes a template and two words that must not be taken for each other.  Controls are pairs that
-- ask the same.  The lists here were written before those of core/semantic/guard_words.lua, and `fresh`
-- (swaps_fresh.lua) after them, so that it tells what the guard does with words that nobody gave it.
-- `replaced` (swaps_replaced.lua): one word is another, which is in no list, with controls of one synonym each.
-- `pairs` prints all pairs, FILE judges those of a file: question TAB question TAB 1 (the same) or 0.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_guard"

-- -- Words -------------------------------------------------------------------------------

local en_tasks = { "reset my password", "cancel the order", "sort a list", "grow tomatoes", "train a puppy",
  "bake bread", "merge two branches", "renew a passport", "clean a leather sofa", "write a cover letter" }
local zh_tasks = { "修改头像", "办理护照", "清洗空调", "学习钢琴", "申请退款", "制作蛋糕", "恢复照片", "查询快递", "报销发票", "训练小狗" }
local en_things = { "the router", "my laptop", "this phone", "the printer", "our server", "the camera" }
local zh_things = { "路由器", "笔记本电脑", "这个手机", "打印机", "我们的服务器", "摄像头" }

-- {en a, en b}: the same template with either.
local en_opposites = {
  { "enable", "disable" }, { "buy", "sell" }, { "open", "close" }, { "start", "stop" }, { "import", "export" },
  { "upload", "download" }, { "encrypt", "decrypt" }, { "increase", "decrease" }, { "lock", "unlock" },
  { "connect", "disconnect" }, { "install", "uninstall" }, { "add", "remove" }, { "show", "hide" },
  { "mount", "unmount" }, { "compress", "decompress" }, { "turn on", "turn off" }, { "push", "pull" },
  { "hire", "fire" }, { "lend", "borrow" }, { "accept", "reject" }, { "attach", "detach" }, { "block", "unblock" },
  { "expand", "collapse" }, { "raise", "lower" }, { "win", "lose" }, { "zip", "unzip" }, { "assemble", "disassemble" },
  { "follow", "unfollow" }, { "mute", "unmute" }, { "subscribe to", "unsubscribe from" }, { "pause", "resume" },
  { "allow", "deny" }, { "create", "delete" }, { "heat", "cool" }, { "serialize", "deserialize" },
}
local en_sides = {
  { "before", "after" }, { "maximum", "minimum" }, { "first", "last" }, { "left", "right" }, { "legal", "illegal" },
  { "safe", "dangerous" }, { "male", "female" }, { "most", "least" }, { "cheap", "expensive" },
  { "possible", "impossible" }, { "public", "private" }, { "internal", "external" }, { "hot", "cold" },
  { "upper", "lower" }, { "ascending", "descending" }, { "largest", "smallest" }, { "best", "worst" },
  { "horizontal", "vertical" }, { "input", "output" }, { "positive", "negative" }, { "oldest", "youngest" },
  { "fastest", "slowest" }, { "inner", "outer" }, { "front", "rear" }, { "northern", "southern" },
}
local en_side_templates = { "What is the %s option for the device?", "Show me the %s value of the table.",
  "Which one is the %s part of it?", "Tell me about the %s side of the building." }
local zh_opposites = {
  { "开", "关" }, { "买", "卖" }, { "打开", "关闭" }, { "上传", "下载" }, { "登录", "退出" }, { "加密", "解密" },
  { "安装", "卸载" }, { "增加", "减少" }, { "导入", "导出" }, { "开始", "停止" }, { "连接", "断开" }, { "锁定", "解锁" },
  { "压缩", "解压" }, { "启用", "禁用" }, { "进入", "离开" }, { "借入", "借出" }, { "添加", "删除" }, { "显示", "隐藏" },
  { "接受", "拒绝" }, { "充值", "提现" }, { "绑定", "解绑" }, { "提高", "降低" }, { "放大", "缩小" }, { "折叠", "展开" },
  { "租", "买" }, { "升级", "降级" }, { "推", "拉" }, { "关注", "取消关注" }, { "加", "减" }, { "存", "取" },
}
local zh_sides = {
  { "左边", "右边" }, { "上面", "下面" }, { "最大", "最小" }, { "合法", "非法" }, { "安全", "危险" }, { "男", "女" },
  { "公开", "私密" }, { "最高", "最低" }, { "之前", "之后" }, { "第一个", "最后一个" }, { "便宜", "贵" }, { "内部", "外部" },
  { "最多", "最少" }, { "冷", "热" }, { "最新", "最旧" }, { "最快", "最慢" }, { "输入", "输出" }, { "正数", "负数" },
  { "入口", "出口" }, { "升序", "降序" }, { "最好", "最差" }, { "东", "西" }, { "长", "短" }, { "前", "后" },
}
local zh_side_templates = { "哪个是%s的选项？", "怎么找到%s的那个？", "%s的那一款叫什么名字？", "请介绍一下%s的部分" }

local numbers = { { "3", "5" }, { "10", "100" }, { "2.5", "25" }, { "1,000", "10,000" }, { "two", "four" },
  { "twelve", "twenty" }, { "50%", "15%" }, { "1k", "2k" }, { "7", "eight" }, { "1.5", "1.6" }, { "third", "fourth" } }
local zh_numbers = { { "3", "5" }, { "三", "五" }, { "两", "四" }, { "十", "二十" }, { "一百", "一千" }, { "3万", "30万" },
  { "五十", "十五" }, { "百分之五十", "百分之十五" }, { "2", "六" }, { "100", "一千" } }
local units = { { "kilometers", "miles" }, { "kg", "pounds" }, { "dollars", "euros" }, { "minutes", "hours" },
  { "MB", "GB" }, { "celsius", "fahrenheit" }, { "liters", "gallons" }, { "days", "weeks" }, { "cm", "inches" },
  { "years", "months" }, { "USD", "JPY" }, { "ms", "s" } }
local zh_units = { { "公里", "米" }, { "斤", "公斤" }, { "美元", "欧元" }, { "分钟", "小时" }, { "天", "周" }, { "元", "角" },
  { "年", "个月" }, { "厘米", "毫米" }, { "平方米", "亩" }, { "人民币", "日元" }, { "克", "千克" }, { "升", "毫升" } }
local dates = { { "today", "tomorrow" }, { "yesterday", "today" }, { "Monday", "Friday" }, { "March", "June" },
  { "last week", "next week" }, { "this year", "last year" }, { "2021", "2023" }, { "in the morning", "in the evening" },
  { "at 3 pm", "at 5 pm" }, { "May 4", "May 14" }, { "on 2024-05-01", "on 2024-06-01" }, { "in summer", "in winter" } }
local zh_dates = { { "今天", "明天" }, { "昨天", "今天" }, { "周一", "周五" }, { "三月", "六月" }, { "上周", "下周" },
  { "今年", "去年" }, { "2021年", "2023年" }, { "上午", "下午" }, { "早上", "晚上" }, { "5月4日", "5月14日" },
  { "星期二", "星期天" }, { "夏天", "冬天" } }
local names = { { "Paris", "London" }, { "France", "Spain" }, { "Python", "Java" }, { "iPhone 14", "iPhone 15" },
  { "Windows", "Linux" }, { "Google", "Amazon" }, { "Einstein", "Newton" }, { "MySQL", "MongoDB" }, { "Tesla", "Ford" },
  { "Mars", "Venus" }, { "NASA", "ESA" }, { "GPT-4", "GPT-3" }, { "React", "Angular" }, { "Tokyo", "Osaka" },
  { "Alice", "Robert" }, { "order A1234", "order B5678" }, { "\"red fox\"", "\"blue whale\"" }, { "Berlin", "Munich" } }
local zh_names = { { "北京", "上海" }, { "广东", "广西" }, { "日本", "韩国" }, { "《红楼梦》", "《西游记》" }, { "Python", "Java" },
  { "微信", "支付宝" }, { "华为", "小米" }, { "iPhone 14", "iPhone 15" }, { "淘宝", "京东" }, { "法国", "德国" },
  { "腾讯", "百度" }, { "成都", "重庆" }, { "QQ", "微信" }, { "李白", "杜甫" }, { "“春天”", "“冬日”" }, { "A1234", "B5678" },
  { "奔驰", "宝马" }, { "杭州", "苏州" } }
local code = { { "get_user", "set_user" }, { "readFile", "writeFile" }, { "--force", "--quiet" }, { "main.py", "util.py" },
  { "/etc/hosts", "/etc/passwd" }, { "https://a.example/x", "https://a.example/y" }, { "ann@example.com", "bob@example.com" },
  { "==", "!=" }, { ".csv", ".json" }, { "list.append()", "list.extend()" }, { "3f2a9c1e", "8b1d0e4f" }, { "-v", "-x" } }
local order = { { "Celsius", "Fahrenheit" }, { "PDF", "Word" }, { "London", "Paris" }, { "dollars", "euros" },
  { "Python", "Java" }, { "the office", "the airport" }, { "miles", "kilometers" }, { "MySQL", "Postgres" },
  { "a png image", "a jpeg image" }, { "cats", "dogs" } }
local order_templates = { "How do I convert %s to %s?", "How do I get from %s to %s?", "Is it wise to move from %s to %s?",
  "Are %s bigger than %s?", "How can I migrate data from %s into %s?", "how to convert %s to %s",
  "I need to get from %s to %s", "Is it hard to turn %s into %s?", "I'd like to compare %s to %s" }
local letters = { { "A", "B" }, { "C", "A" }, { "A", "Q" } }
local letter_templates = { "Is plan %s better than plan %s?", "does %s imply %s", "Divide %s by %s", "Should %s pay %s?",
  "Let %s be a subset of %s", "How do I get from point %s to point %s?" }
local zh_parts = { { "老师", "学生" }, { "张三", "李四" }, { "公司", "客户" }, { "甲", "乙" }, { "房东", "租客" }, { "爸爸", "儿子" } }
local zh_part_templates = { "%s批评%s怎么办", "%s欠%s的钱怎么办", "%s起诉%s要多久", "%s骗了%s怎么处理", "%s对%s不满意怎么办" }
local zh_order = { { "北京", "上海" }, { "PDF", "Word" }, { "美元", "欧元" }, { "公里", "英里" }, { "广州", "深圳" },
  { "学校", "医院" }, { "联通", "电信" }, { "图片", "文字" }, { "火车站", "飞机场" }, { "猫", "狗" } }
local zh_order_templates = { "从%s到%s怎么走", "%s转%s怎么弄", "%s换%s要多少钱", "%s比%s好吗", "怎么把%s转换成%s" }
local languages = { { "in English", "in French" }, { "in Spanish", "in German" }, { "in Chinese", "in Japanese" },
  { "", "in Italian" } }
local zh_languages = { { "用中文", "用英文" }, { "用法语", "用德语" }, { "用英语", "用日语" }, { "", "用英文" } }
local formats = { { "as JSON", "as a table" }, { "in one sentence", "in detail" }, { "briefly", "in detail" },
  { "as a bulleted list", "as a paragraph" }, { "as XML", "as YAML" }, { "", "in one sentence" },
  { "", "as a table" }, { "in 50 words", "in 500 words" }, { "as CSV", "as JSON" } }
local zh_formats = { { "用表格", "用列表" }, { "用一句话", "详细地" }, { "简要地", "详细地" }, { "用JSON格式", "用XML格式" },
  { "", "用一句话" }, { "", "用表格" }, { "用50字", "用500字" } }
local topics = { "photosynthesis", "inflation", "black holes", "recursion", "the water cycle", "vaccines" }
local zh_topics = { "光合作用", "通货膨胀", "黑洞", "递归", "水循环", "疫苗" }
local questions = { "who", "when", "where", "why" }
local zh_questions = { "谁", "什么时候", "在哪里", "为什么" }

-- -- Cases ---------------------------------------------------------------------------------

local M = { cases = {}, controls = {} }

local function add(kind, a, b)
  a, b = a:gsub("%s+", " "):gsub("^ ", ""), b:gsub("%s+", " "):gsub("^ ", "")
  M.cases[#M.cases + 1] = { kind = kind, a = a, b = b }
end
local function same(a, b) M.controls[#M.controls + 1] = { kind = "control", a = a, b = b } end

-- Each template with each pair of words; %s may stand in it twice.
local function swap(kind, templates, pairs_of)
  for _, t in ipairs(templates) do
    for _, w in ipairs(pairs_of) do
      local function fill(x) return (t:gsub("%%s", (x:gsub("%%", "%%%%")))) end
      add(kind, fill(w[1]), fill(w[2]))
    end
  end
end

local function negations()
  for _, task in ipairs(en_tasks) do
    add("negation", "Why can I " .. task .. "?", "Why can't I " .. task .. "?")
    add("negation", "Why should I " .. task .. "?", "Why should I not " .. task .. "?")
    add("negation", "Is it possible to " .. task .. "?", "Is it impossible to " .. task .. "?")
    add("negation", "What happens when I " .. task .. "?", "What happens when I never " .. task .. "?")
    add("negation", "How do I " .. task .. " with an account?", "How do I " .. task .. " without an account?")
    add("negation", "People who " .. task .. " are happy, why?", "People who don't " .. task .. " are happy, why?")
  end
  for _, task in ipairs(zh_tasks) do
    add("negation", "为什么我能" .. task, "为什么我不能" .. task)
    add("negation", "可以" .. task .. "的人有哪些", "不可以" .. task .. "的人有哪些")
    add("negation", "我已经" .. task .. "了怎么办", "我没有" .. task .. "怎么办")
    add("negation", "为什么要" .. task, "为什么不要" .. task)
    add("negation", "会" .. task .. "的原因", "不会" .. task .. "的原因")
  end
  for _, thing in ipairs(en_things) do
    add("negation", "Why does " .. thing .. " work?", "Why does " .. thing .. " not work?")
    add("negation", "What if " .. thing .. " is connected?", "What if " .. thing .. " isn't connected?")
  end
  for _, thing in ipairs(zh_things) do
    add("negation", thing .. "联网了怎么设置", thing .. "没联网怎么设置")
    add("negation", thing .. "支持蓝牙的原因", thing .. "不支持蓝牙的原因")
  end
end

local function opposites()
  for _, w in ipairs(en_opposites) do
    for _, thing in ipairs(en_things) do
      add("antonym", ("How do I %s %s?"):format(w[1], thing), ("How do I %s %s?"):format(w[2], thing))
      add("antonym", ("Is it hard to %s %s now?"):format(w[1], thing), ("Is it hard to %s %s now?"):format(w[2], thing))
    end
    add("antonym", ("When is the best time to %s it?"):format(w[1]), ("When is the best time to %s it?"):format(w[2]))
  end
  for _, w in ipairs(zh_opposites) do
    for _, thing in ipairs(zh_things) do
      add("antonym", ("怎么%s%s"):format(w[1], thing), ("怎么%s%s"):format(w[2], thing))
    end
    add("antonym", ("什么时候%s比较好"):format(w[1]), ("什么时候%s比较好"):format(w[2]))
  end
  swap("direction", en_side_templates, en_sides)
  swap("direction", zh_side_templates, zh_sides)
end

local function figures()
  swap("number", { "How do I split a cake into %s parts?", "What can I do with %s tickets?", "Is the %s step hard to do?",
                   "Give me ideas for the group of %s people" }, numbers)
  swap("number", { "怎么把蛋糕分成%s份", "我有%s张票可以做什么", "%s个人怎么住最合适", "存款%s元有多少利息" }, zh_numbers)
  swap("unit", { "How far can I go with 20 %s of it?", "What is 35 %s in other words?", "Is 8 %s enough for a trip?" }, units)
  swap("unit", { "20%s够不够用", "35%s是什么概念", "买8%s合适吗" }, zh_units)
  swap("date", { "What will happen %s?", "Is the shop open %s?", "Tell me the news of %s", "How was the weather %s?" }, dates)
  swap("date", { "%s会发生什么", "%s商店开门吗", "告诉我%s的新闻", "%s的天气怎么样" }, zh_dates)
end

local function things()
  swap("name", { "What is %s famous for?", "How old is %s?", "Give me a short history of %s.", "Is %s good for beginners?",
                 "Compare it with %s please" }, names)
  swap("name", { "%s怎么样", "介绍一下%s", "%s有什么特点", "我想了解%s的历史", "关于%s的问题" }, zh_names)
  swap("code", { "What does %s do?", "How do I use %s in my script?", "Explain %s to me" }, code)
  swap("code", { "%s 是什么意思", "脚本里怎么用 %s", "解释一下 %s" }, code)
end

local function orders()
  for _, t in ipairs(order_templates) do
    for _, w in ipairs(order) do add("order", t:format(w[1], w[2]), t:format(w[2], w[1])) end
  end
  for _, t in ipairs(letter_templates) do
    for _, w in ipairs(letters) do add("order", t:format(w[1], w[2]), t:format(w[2], w[1])) end
  end
  for _, t in ipairs(zh_part_templates) do
    for _, w in ipairs(zh_parts) do add("order", t:format(w[1], w[2]), t:format(w[2], w[1])) end
  end
  for _, t in ipairs(zh_order_templates) do
    for _, w in ipairs(zh_order) do add("order", t:format(w[1], w[2]), t:format(w[2], w[1])) end
  end
end

local function answers()
  for _, topic in ipairs(topics) do
    swap("language", { "Explain " .. topic .. " %s", "Describe " .. topic .. " to me %s" }, languages)
    swap("format", { "Explain " .. topic .. " %s", "Describe " .. topic .. " %s" }, formats)
  end
  for _, topic in ipairs(zh_topics) do
    swap("language", { "%s解释" .. topic, "请%s介绍" .. topic }, zh_languages)
    swap("format", { "%s解释" .. topic, "请%s介绍" .. topic }, zh_formats)
  end
  for i, topic in ipairs(topics) do
    add("language", "Explain " .. topic, "请解释" .. zh_topics[i])
    add("language", "What is " .. topic .. "?", "什么是" .. zh_topics[i] .. "？")
  end
  swap("language", { "Translate the letter %s", "Translate this word %s" },
    { { "into French", "into German" }, { "to Chinese", "to English" }, { "to Korean", "into Russian" } })
  swap("language", { "把这封信翻译成%s", "这个词用%s怎么说" }, { { "法语", "德语" }, { "中文", "英文" }, { "韩语", "俄语" } })
end

local function asked()
  for i, q in ipairs(questions) do
    for j = i + 1, #questions do
      for _, rest in ipairs{ "is the meeting?", "did they build the bridge?", "was the first king?", "will be there?" } do
        add("question", q .. " " .. rest, questions[j] .. " " .. rest)
      end
    end
  end
  for i, q in ipairs(zh_questions) do
    for j = i + 1, #zh_questions do
      for _, t in ipairs{ "%s建了这座桥", "%s发明了电话", "他%s结婚", "会议%s开" } do
        add("question", t:format(q), t:format(zh_questions[j]))
      end
    end
  end
  swap("question", { "%s sugar is in it?", "%s is the show?", "%s does it take there?" },
    { { "how much", "how long" }, { "how many", "how long" }, { "how much", "how often" }, { "how old", "how far" } })
  swap("question", { "坐车去那里要%s", "这个要%s" }, { { "多久", "多少钱" }, { "多远", "多久" }, { "多少钱", "几个人" } })
  for _, task in ipairs(en_tasks) do
    add("question", "how do I " .. task .. "?", "why do I " .. task .. "?")
    add("question", "how to " .. task, "where to " .. task)
    add("question", "how to " .. task, "when to " .. task)
  end
  for _, task in ipairs(zh_tasks) do
    add("question", "如何" .. task, "为什么" .. task)
    add("question", "在哪里" .. task, "什么时候" .. task)
  end
end

-- -- Controls ----------------------------------------------------------------------------------

local en_ways = { "How do I %s?", "How can I %s?", "How to %s", "What is the way to %s?", "What's the best way to %s?",
  "Please tell me how to %s", "I want to %s. How?", "can you show me how to %s?" }
local zh_ways = { "怎么%s", "如何%s？", "怎样%s", "请问怎么%s呢", "%s的方法是什么", "想要%s，怎么办", "怎么%s啊，谢谢", "能不能告诉我怎么%s" }

local function ways(list, tasks)
  for _, task in ipairs(tasks) do
    for i = 1, #list do
      for j = i + 1, #list do same(list[i]:format(task), list[j]:format(task)) end
    end
  end
end

local function paraphrases()
  for _, group in ipairs(require "eval.paraphrases") do
    for i = 1, #group do
      for j = i + 1, #group do same(group[i], group[j]) end
    end
  end
end

local function controls()
  paraphrases()
  ways(en_ways, en_tasks)
  ways(zh_ways, zh_tasks)
  for _, w in ipairs(en_opposites) do
    same("How do I " .. w[1] .. " the router?", "What is the way to " .. w[1] .. " the router?")
    same("can I " .. w[2] .. " my laptop?", "Is it OK to " .. w[2] .. " my laptop?")
  end
  for _, w in ipairs(zh_opposites) do
    same("怎么" .. w[1] .. "路由器", "如何" .. w[1] .. "路由器？")
    same("我的打印机怎么" .. w[2], "怎样" .. w[2] .. "我的打印机呢")
  end
  for _, w in ipairs{ { "3", "three" }, { "50%", "50 percent" }, { "1,000", "1000" }, { "1k", "1000" }, { "12", "twelve" },
                      { "1.5 million", "1,500,000" }, { "2nd", "second" }, { "20", "twenty" } } do
    same("What can I do with " .. w[1] .. " of them?", "what could I do with " .. w[2] .. " of them")
  end
  for _, w in ipairs{ { "3", "三" }, { "50%", "百分之五十" }, { "10000", "一万" }, { "2", "两" }, { "20", "二十" }, { "3万", "30000" } } do
    same("我有" .. w[1] .. "张票怎么用", "我有" .. w[2] .. "张票，如何使用")
  end
  for _, w in ipairs(order) do
    same(("How do I get from %s to %s?"):format(w[1], w[2]), ("What's the way to %s from %s?"):format(w[2], w[1]))
  end
  for _, w in ipairs(zh_order) do
    same(("从%s到%s怎么走"):format(w[1], w[2]), ("%s到%s如何走？"):format(w[1], w[2]))
  end
end

negations() opposites() figures() things() orders() answers() asked()
controls()

-- -- Asking the guard ----------------------------------------------------------------------------

-- What the guard says of each pair.
local function ask(list)
  local name = os.tmpname()
  local lines = {}
  for i, c in ipairs(list) do lines[i] = c.a .. "\t" .. c.b .. "\n" end
  files.write(name, table.concat(lines))
  local at = 0
  for line in files.lines(PROGRAM .. " < " .. name) do
    at = at + 1
    list[at].said = line
  end
  os.remove(name)
  if at ~= #list then error("the guard answered " .. at .. " of " .. #list .. " pairs", 0) end
end

-- Nanoseconds of CPU for one pair.
local function time_of(list)
  local name, lines = os.tmpname(), {}
  for i, c in ipairs(list) do lines[i] = c.a .. "\t" .. c.b .. "\n" end
  files.write(name, table.concat(lines))
  local ns = tonumber(files.lines(PROGRAM .. " time < " .. name)())
  os.remove(name)
  return ns
end

-- By kind: how many there are, and those that are not told apart.
local function judge(list)
  ask(list)
  local kinds, by = {}, {}
  for _, c in ipairs(list) do
    local k = by[c.kind]
    if not k then
      k = { name = c.kind, count = 0, passed = {} }
      by[c.kind], kinds[#kinds + 1] = k, k
    end
    k.count = k.count + 1
    if c.said == "same" then k.passed[#k.passed + 1] = c end
  end
  return kinds
end

local function show(list, most)
  for i = 1, math.min(#list, most) do lib.note("%s | %s | %s", list[i].said, list[i].a, list[i].b) end
end

local function swaps(list, what)
  local all, passed = 0, 0
  for _, k in ipairs(judge(list)) do
    all, passed = all + k.count, passed + #k.passed
    lib.figure(("%s of %s, pass; of %d"):format(what, k.name, k.count), #k.passed, "", nil, what == "swaps" and 0 or nil)
    show(k.passed, tonumber(os.getenv("SHOW")) or 3)
  end
  lib.figure(("%s, pass; of %d"):format(what, all), passed, "", nil, what == "swaps" and 0 or nil)
end

-- The share of pairs of a file, by label, that are refused.
local function file(path)
  local by = { ["0"] = {}, ["1"] = {} }
  for line in files.lines("cat " .. path) do
    local a, b, label = line:match("^([^\t]*)\t([^\t]*)\t([01])$")
    if a then table.insert(by[label], { a = a, b = b, kind = label }) end
  end
  for label, list in pairs(by) do
    ask(list)
    local refused, kinds = 0, {}
    for _, c in ipairs(list) do
      kinds[c.said] = (kinds[c.said] or 0) + 1
      if c.said ~= "same" then
        refused = refused + 1
        if os.getenv("SHOW") == label then print(c.said, c.a, c.b) end
      end
    end
    local text = {}
    for k, n in pairs(kinds) do if k ~= "same" then text[#text + 1] = k .. " " .. n end end
    table.sort(text)
    lib.note("label %s: %d of %d refused (%.1f %%): %s", label, refused, #list, 100 * refused / math.max(1, #list),
      table.concat(text, ", "))
  end
end

-- One word replaced: what passes of the swaps, what is refused of the controls.
local function replaced()
  local all = require "bench.swaps_replaced"
  for _, part in ipairs{ "tuned", "held" } do
    local function list_of(which)
      local list = {}
      for _, c in ipairs(all[part][which]) do list[#list + 1] = { kind = c[1], a = c[2], b = c[3] } end
      return list
    end
    for _, k in ipairs(judge(list_of "swaps")) do
      lib.figure(("%s: swaps in %s, pass; of %d"):format(part, k.name, k.count), #k.passed, "")
      show(k.passed, tonumber(os.getenv("SHOW")) or 0)
    end
    for _, k in ipairs(judge(list_of "controls")) do
      lib.figure(("%s: synonyms in %s, refused; of %d"):format(part, k.name, k.count), k.count - #k.passed, "")
    end
  end
end

if arg[1] == "pairs" then
  for _, c in ipairs(M.cases) do print(c.a .. "\t" .. c.b .. "\t0") end
  for _, c in ipairs(M.controls) do print(c.a .. "\t" .. c.b .. "\t1") end
  os.exit(0)
end

lib.run(function()
  lib.build(PROGRAM)
  if arg[1] == "fresh" then
    local list = {}
    for _, c in ipairs(require "bench.swaps_fresh") do list[#list + 1] = { kind = c[1], a = c[2], b = c[3] } end
    swaps(list, "fresh swaps")
  elseif arg[1] == "replaced" then
    replaced()
  elseif arg[1] then
    file(arg[1])
  else
    swaps(M.cases, "swaps")
    ask(M.controls)
    local refused = {}
    for _, c in ipairs(M.controls) do if c.said ~= "same" then refused[#refused + 1] = c end end
    show(refused, tonumber(os.getenv("SHOW")) or 10)
    lib.figure(("controls refused, of %d"):format(#M.controls), #refused, "", nil, 0)
    lib.figure("a pair", time_of(M.controls) / 1000, "us", nil, 20)
  end
end)
