-- swaps_fresh.lua -- swaps with words that were chosen when the guard's lists were finished, for swaps.lua.
--
-- Each case is once in the list; the template is not one of swaps.lua.  What the guard said of them before any of
-- these words was given to it is in the commit that added the file.

local M = {}

local function add(kind, text)
  for line in text:gmatch("[^\n]+") do
    local a, b = line:match("^%s*(.-)%s*|%s*(.-)%s*$")
    if a then M[#M + 1] = { kind, a, b } end
  end
end

add("negation", [[
Which mushrooms are edible in Oregon? | Which mushrooms are inedible in Oregon?
Is this visa renewable? | Is this visa nonrenewable?
My baby sleeps through the night, is that normal? | My baby never sleeps through the night, is that normal?
Foods that contain gluten | Foods that contain no gluten
Should I tell my boss? | Shouldn't I tell my boss?
What do vegans eat? | What do vegans not eat?
Are these batteries rechargeable? | Are these batteries non-rechargeable?
The screen is responsive, what is going on? | The screen is unresponsive, what is going on?
Is the theorem provable? | Is the theorem unprovable?
Apps that track my location | Apps that don't track my location
Is he able to drive after surgery? | Is he unable to drive after surgery?
Are the results reproducible? | Are the results irreproducible?
Countries that require a visa | Countries that do not require a visa
Why did the volcano erupt? | Why didn't the volcano erupt?
Which states have an income tax? | Which states have no income tax?
能喝酒的人 | 不能喝酒的人
这种蘑菇可食用吗 | 这种蘑菇不可食用吗
猫愿意洗澡的原因 | 猫不愿意洗澡的原因
含糖的饮料有哪些 | 无糖的饮料有哪些
需要签证的国家 | 免签证的国家
公司给我交了社保怎么办 | 公司没给我交社保怎么办
房子有产权能过户吗 | 房子没产权能过户吗
他承认了错误怎么回复 | 他不承认错误怎么回复
刚浇过水的多肉 | 从未浇过水的多肉
水果可以空腹吃的有哪些 | 水果不可以空腹吃的有哪些
]])
add("number", [[
Top 7 beaches | Top 9 beaches
A recipe for six servings | A recipe for eleven servings
How heavy is a 16 inch bicycle wheel | How heavy is a 26 inch bicycle wheel
What is 17 squared? | What is 71 squared?
mortgage at 3.25% | mortgage at 3.75%
The sixteenth amendment | The eighteenth amendment
Is forty-two prime? | Is forty-three prime?
a bill of 2 million rupees | a bill of 20 million rupees
Chapter 4 summary | Chapter 14 summary
How do I split 90 in thirds | How do I split 60 in thirds
第七十二章讲了什么 | 第七十三章讲了什么
一亩三分地 | 一亩五分地
五千米跑步技巧 | 一千五百米跑步技巧
三百六十五里路 | 三百六十里路
九折是多少钱 | 八折是多少钱
存二十万的利息 | 存二十五万的利息
2的16次方 | 2的6次方
两室一厅装修 | 三室一厅装修
六年级数学题 | 四年级数学题
17岁可以打工吗 | 16岁可以打工吗
]])
add("unit", [[
Is 40 knots fast? | Is 40 mph fast?
What's 12 ounces of butter? | What's 12 grams of butter?
A 30 hectare farm | A 30 acre farm
8 tablespoons of sugar | 8 teaspoons of sugar
How bright is 60 watts? | How bright is 60 lumens?
5 nanoseconds of light | 5 microseconds of light
a 3 decade loan | a 3 century loan
How much is 700 pesos | How much is 700 rubles
pressure of 2 bar | pressure of 2 psi
100 joules of energy | 100 calories of energy
五吨货车 | 五斤货车
300毫克阿莫 | 300克阿莫
10英寸平板 | 10英尺平板
200卢布换多少 | 200泰铢换多少
八两牛肉 | 八斤牛肉
40摄氏度 | 40华氏度
6小时路程 | 6分钟路程
20兆文件 | 20千字节文件
15公顷地 | 15亩地
90秒视频 | 90分钟视频
]])
add("date", [[
Events at Easter | Events at Halloween
What to plant in October | What to plant in April
Is the museum open on Thursdays? | Is the museum open on Sundays?
flights at dawn | flights at midnight
The economy in 1929 | The economy in 1987
meet at 7:45 | meet at 8:15
rent due on the 3rd | rent due on the 13th
Where should I travel in spring break? | Where should I travel in winter break?
recap of the previous quarter | recap of the next quarter
fashion of the 1960s | fashion of the 1980s
中秋节的诗 | 端午节的诗
礼拜三有课吗 | 礼拜五有课吗
后天限行吗 | 前天限行吗
九月适合去哪玩 | 十二月适合去哪玩
凌晨能点外卖吗 | 中午能点外卖吗
春季吃什么 | 秋季吃什么
上个月的账单 | 这个月的账单
1998年的世界杯 | 2002年的世界杯
下半年的计划 | 上半年的计划
除夕放假吗 | 元宵节放假吗
]])
add("name", [[
Is Lisbon expensive? | Is Prague expensive?
The plot of Moby Dick | The plot of Jane Eyre
How does Figma work? | How does Canva work?
Visit Kyoto or not | Visit Nagoya or not
Was Cleopatra tall? | Was Nefertiti tall?
how do i learn haskell | how do i learn erlang
What is a Toyota Corolla worth? | What is a Toyota Camry worth?
explain Bayes rule | explain Cramer rule
What's the Boeing 747's range? | What's the Boeing 777's range?
the climate of Peru | the climate of Bolivia
Who played Gandalf? | Who played Frodo?
use Terraform at work | use Pulumi at work
flights with Lufthansa | flights with Ryanair
how tall is mount kilimanjaro | how tall is mount everest
is oregano healthy | is parsley healthy
how to cook salmon | how to cook lobster
nutritional value of almonds | nutritional value of walnuts
what do pandas eat | what do koalas eat
side effects of metformin | side effects of warfarin
how do bees communicate | how do ants communicate
开封有什么好玩的 | 洛阳有什么好玩的
《三体》的结局 | 《流浪地球》的结局
苏轼的诗 | 陆游的诗
泰国旅游攻略 | 越南旅游攻略
吉他入门 | 小提琴入门
怎么养金鱼 | 怎么养乌龟
西红柿怎么种 | 黄瓜怎么种
布洛芬怎么吃 | 头孢怎么吃
长安汽车怎么样 | 长城汽车怎么样
海底捞排队多久 | 外婆家排队多久
vue入门教程 | svelte入门教程
P40和P50的参数 | P40和P60的参数
王菲的代表作 | 那英的代表作
哈尔滨的冬天 | 漠河的冬天
怎么做红烧肉 | 怎么做糖醋排骨
]])
add("antonym", [[
How do I tighten a bolt? | How do I loosen a bolt?
How do I strengthen my wrists? | How do I weaken my wrists?
Who is the plaintiff here? | Who is the defendant here?
Is this word archaic or what, is it common? | Is this word archaic or what, is it rare?
Can I shorten these pants? | Can I lengthen these pants?
How do I inflate a tire? | How do I deflate a tire?
Is the lake shallow? | Is the lake deep?
How do I praise an employee? | How do I criticize an employee?
Should I tense my muscles? | Should I relax my muscles?
How do I sharpen the image? | How do I blur the image?
Is the water salty? | Is the water fresh?
How do I whitelist an address? | How do I blacklist an address?
Is my cat underweight? | Is my cat overweight?
How do I promote a user? | How do I demote a user?
The plane took off, what next? | The plane landed, what next?
Is the ruling constitutional? | Is the ruling unconstitutional?
Can I dock the window? | Can I undock the window?
How do I gain weight? | How do I lose weight?
Rent is rising, what now? | Rent is falling, what now?
Is the metal brittle? | Is the metal ductile?
How do I dim the lamp? | How do I brighten the lamp?
How do I nominate someone? | How do I disqualify someone?
What are the upsides of it? | What are the downsides of it?
How do I unmute them? | How do I mute them?
Who is the tallest of them? | Who is the shortest of them?
怎么增肥 | 怎么减肥
怎么系安全带 | 怎么解安全带
怎么加好友 | 怎么删好友
怎么静音 | 怎么取消静音
怎么置顶聊天 | 怎么取消置顶聊天
水温太高怎么办 | 水温太低怎么办
皮肤太干怎么办 | 皮肤太油怎么办
头发太多怎么办 | 头发太少怎么办
个子太高怎么穿 | 个子太矮怎么穿
怎么表扬孩子 | 怎么批评孩子
如何发送红包 | 如何领取红包
如何开通会员 | 如何取消会员
如何加粗 | 如何取消加粗
怎么插入空行 | 怎么删除空行
怎么调亮屏幕 | 怎么调暗屏幕
如何入群 | 如何退群
怎么挂断电话 | 怎么接听电话
离职证明怎么写 | 入职证明怎么写
顺产后吃什么 | 剖腹产后吃什么
鼻子左边疼 | 鼻子右边疼
太早起床 | 太晚起床
怎么冻住它 | 怎么解冻它
怎么隐身 | 怎么取消隐身
怎么合并文件 | 怎么拆分文件
进项税怎么算 | 销项税怎么算
]])
add("order", [[
is Ajax better than Porto? | is Porto better than Ajax?
ferry from Dover to Calais | ferry from Calais to Dover
turn hexadecimal into binary | turn binary into hexadecimal
Is rye healthier than spelt? | Is spelt healthier than rye?
translate from Dutch to Welsh | translate from Welsh to Dutch
swap fractions to decimals | swap decimals to fractions
Can I move funds from savings to checking? | Can I move funds from checking to savings?
从青岛到烟台 | 从烟台到青岛
小数转分数 | 分数转小数
兔子比乌龟快吗 | 乌龟比兔子快吗
]])
add("code", [[
what is os.path.join | what is os.path.split
explain useEffect | explain useMemo
what does grep -i do | what does grep -r do
the file setup.cfg | the file setup.toml
mean of && in bash | mean of || in bash
open ~/.bashrc | open ~/.zshrc
error E0502 in the borrow checker | error E0499 in the borrow checker
docs.example.org/start/ now | docs.example.org/stop/ now
malloc() at work | calloc() at work
my_table has rows | your_table has rows
]])
add("answer", [[
Tell the tale in Portuguese | Tell the tale in Danish
planets as yaml please | planets as csv please
a summary in two sentences | a summary in nine sentences
Answer in Korean | Answer in Thai
explain step by step | explain in one sentence
用日语回答 | 用韩语回答
用列表说明 | 用表格说明
用一段话写 | 用一句话写
翻译成葡萄牙语 | 翻译成西班牙语
简要回答 | 详细回答
]])

-- Chosen when the lists had grown by what the ones above showed.
add("second", [[
How do I fatten a calf? | How do I slim a calf?
Is the bridge closed to trucks? | Is the bridge open to trucks?
How do I allow popups? | How do I block popups?
When should I plant tulips? | When should I harvest tulips?
Can I repair it under warranty? | Can I return it under warranty?
Do I need to defrost the fish? | Do I need to freeze the fish?
Does the app work offline? | Does the app work online?
Is the contract binding? | Is the contract nonbinding?
Are snails harmful? | Are snails beneficial?
How do I cancel the alarm? | How do I set the alarm?
Who invented the telescope? | Who invented the microscope?
Is Norway in the EU? | Is Sweden in the EU?
how to pickle beets | how to pickle radishes
Population of Lagos | Population of Nairobi
Can a 12 year old fly alone? | Can a 14 year old fly alone?
Does it rain in August in Goa? | Does it rain in May in Goa?
Is 5 mg too much? | Is 5 g too much?
Explain it in Swahili | Explain it in Zulu
Why is my cat drooling? | When is my cat drooling?
Can I ship from Texas to Ohio? | Can I ship from Ohio to Texas?
How do I hide a column? | How do I unhide a column?
What is the tax on imported wine? | What is the tax on exported wine?
How do I log out everyone? | How do I log in everyone?
Is the left lane faster? | Is the right lane faster?
Did the team win? | Did the team lose?
How do I activate the card? | How do I deactivate the card?
Should the valve be on? | Should the valve be off?
Are polynomials differentiable? | Are polynomials non-differentiable?
Which vaccine comes first? | Which vaccine comes last?
如何打开防火墙 | 如何关闭防火墙
如何赎回基金 | 如何申购基金
怎么解除黑名单 | 怎么加入黑名单
怎么拉黑好友 | 怎么解除拉黑好友
孕早期吃什么 | 孕晚期吃什么
水星离太阳多远 | 土星离太阳多远
秋天怎么护肤 | 夏天怎么护肤
头发太长怎么办 | 头发太短怎么办
哪个省最大 | 哪个省最小
鲁迅的父亲是谁 | 鲁迅的母亲是谁
怎么把jpg转成png | 怎么把png转成jpg
苏州到无锡多远 | 苏州到常州多远
三天能学会吗 | 七天能学会吗
买一送一是什么意思 | 买二送一是什么意思
八月能去九寨沟吗 | 十月能去九寨沟吗
喝咖啡会胖吗 | 喝咖啡会瘦吗
怎么批准请假 | 怎么驳回请假
灯泡怎么拆 | 灯泡怎么装
怎么给手机充值 | 怎么给手机退费
为什么他会生气 | 为什么他不会生气
谁是第二任总统 | 谁是第三任总统
这款手机防水吗 | 这款手机不防水吗
周末有课吗 | 工作日有课吗
用英语写一首诗 | 用法语写一首诗
怎么静音会议 | 怎么取消静音会议
上午几点开门 | 下午几点开门
白猫警长 | 黑猫警长
猫粮哪种好 | 狗粮哪种好
如何投诉商家 | 如何表扬商家
鸡蛋能和豆浆一起吃吗 | 鸡蛋能和牛奶一起吃吗
]])

return M
