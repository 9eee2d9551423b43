-- pairs.lua -- made-up pairs of questions for the model that ships, Chinese and English.
--
--   luajit core/semantic/table/pairs.lua [COUNT [SEED [TEXTS]]] > pairs.jsonl     lines {"a":,"b":,"same":}
--
-- Ways to ask the same, with places for things.  The same: two ways to ask, one thing, courtesy and
-- punctuation around them.  Different: the same way with another thing, another question about the same thing, a
-- word that turns it round.  Without TEXTS all texts are of this file; of TEXTS, a question a line, half of the
-- pairs are made by changing one: words of the same meaning (core/semantic/phrases.c), courtesy, parts in another
-- order; or one thing for another of some other text, another question word, another number.

local COUNT, SEED = tonumber(arg[1]) or 20000, tonumber(arg[2]) or 1

math.randomseed(SEED)
local function pick(list) return list[math.random(#list)] end
local function words(text)
  local out = {}
  for w in text:gmatch("[^|\n]+") do
    w = w:gsub("^%s+", ""):gsub("%s+$", "")
    if w ~= "" then out[#out + 1] = w end
  end
  return out
end

-- -- Things ---------------------------------------------------------------------------

local THINGS = {
  zh = {
    product = words[[苹果手机|华为手机|小米手机|笔记本电脑|平板电脑|路由器|打印机|空调|冰箱|洗衣机|热水器|电饭煲|吸尘器|扫地机器人|微波炉|
      电动车|自行车|汽车轮胎|机油|行车记录仪|羽绒服|运动鞋|高跟鞋|连衣裙|牛仔裤|口红|面膜|洗面奶|防晒霜|香水|奶粉|纸尿裤|婴儿车|儿童座椅|
      红酒|白酒|茶叶|蜂蜜|燕窝|螃蟹|小龙虾|牛排|榴莲|西瓜|苹果|香蕉|猫粮|狗粮|鱼缸|吉他|钢琴|单反相机|耳机|音响|显卡|硬盘|内存条|键盘|鼠标]],
    app = words[[微信|支付宝|淘宝|京东|抖音|快手|微博|QQ|QQ空间|百度网盘|网易云音乐|美团|滴滴|拼多多|钉钉|腾讯会议|WPS|Excel|Word|PPT|
      Photoshop|Windows|安卓系统|苹果系统|浏览器|输入法|王者荣耀|和平精英|英雄联盟|我的世界|原神|爱奇艺|优酷|知乎|豆瓣|小红书|微信公众号|企业微信]],
    place = words[[北京|上海|广州|深圳|杭州|成都|重庆|西安|南京|武汉|苏州|天津|长沙|青岛|厦门|大连|昆明|三亚|丽江|桂林|拉萨|哈尔滨|沈阳|济南|
      郑州|合肥|福州|贵阳|南昌|太原|日本|泰国|韩国|美国|英国|法国|德国|新加坡|澳大利亚|香港|澳门|台湾]],
    doc = words[[身份证|护照|驾驶证|营业执照|居住证|结婚证|准生证|社保卡|银行卡|信用卡|房产证|毕业证|教师资格证|健康证|港澳通行证|户口本|
      公积金|养老保险|医疗保险|失业金|增值税发票|个人所得税|住房贷款|汽车贷款|助学贷款|暂住证|离婚证|会计证|电子签证|工作签证]],
    illness = words[[感冒|发烧|咳嗽|头疼|失眠|便秘|腹泻|胃疼|牙疼|口腔溃疡|鼻炎|咽炎|颈椎病|腰疼|痛风|高血压|糖尿病|贫血|湿疹|荨麻疹|脚气|
      青春痘|黑眼圈|脱发|肥胖|近视|白内障|骨折|抑郁症|焦虑症|过敏|中暑|晕车|肾结石|胆囊炎|脂肪肝|甲亢]],
    dish = words[[红烧肉|糖醋排骨|宫保鸡丁|麻婆豆腐|鱼香肉丝|酸菜鱼|水煮鱼|西红柿炒鸡蛋|可乐鸡翅|土豆丝|饺子|包子|馒头|蛋糕|面包|饼干|豆浆|
      凉皮|凉面|炸酱面|蛋炒饭|寿司|披萨|牛肉汤|排骨汤|鸡汤|绿豆汤|酸奶|冰淇淋|月饼|粽子|汤圆|年糕|火锅]],
    person = words[[李白|杜甫|苏轼|鲁迅|曹雪芹|诸葛亮|曹操|刘备|秦始皇|武则天|康熙|乾隆|孔子|老子|牛顿|爱因斯坦|爱迪生|达芬奇|拿破仑|
      莎士比亚|贝多芬|莫扎特|周杰伦|刘德华|张学友|成龙|李小龙|姚明|刘翔|梅西|科比|乔丹]],
    work = words[[红楼梦|西游记|三国演义|水浒传|哈利波特|三体|平凡的世界|活着|围城|百年孤独|小王子|甄嬛传|琅琊榜|亮剑|狼牙山|还珠格格|
      射雕英雄传|天龙八部|鹿鼎记|盗墓笔记|斗破苍穹|泰坦尼克号|阿凡达|流浪地球|霸王别姬|大话西游|功夫|无间道]],
    word = words[[人工智能|区块链|云计算|大数据|机器学习|通货膨胀|量化宽松|市盈率|期权|基金定投|光合作用|牛顿第二定律|勾股定理|量子力学|
      相对论|黑洞|温室效应|供给侧改革|碳中和|元宇宙|物联网|五险一金|公摊面积|年化收益率|负债率|净利润|同理心|内卷|躺平|佛系]],
  },
  en = {
    product = words[[iphone|android phone|laptop|tablet|router|printer|air conditioner|fridge|washing machine|water heater|
      vacuum cleaner|microwave|electric scooter|bicycle|car battery|dash cam|winter jacket|running shoes|sunscreen|
      perfume|baby stroller|car seat|guitar|piano|camera|headphones|graphics card|hard drive|keyboard|mouse|monitor]],
    app = words[[whatsapp|facebook|instagram|twitter|youtube|gmail|google drive|spotify|netflix|uber|airbnb|excel|word|
      powerpoint|photoshop|windows 10|macos|chrome|firefox|outlook|slack|zoom|skype|quora|reddit|linkedin|github|minecraft]],
    place = words[[london|paris|new york|tokyo|berlin|rome|madrid|sydney|toronto|singapore|dubai|mumbai|delhi|bangalore|
      chicago|boston|seattle|canada|germany|japan|australia|france|italy|spain|norway|mexico|thailand|brazil]],
    doc = words[[passport|driving license|credit card|bank account|student visa|work visa|birth certificate|marriage license|
      tax return|home loan|car loan|student loan|health insurance|business license|pan card|green card|social security card]],
    illness = words[[a cold|a fever|a cough|a headache|insomnia|constipation|diarrhea|back pain|a toothache|acne|hair loss|
      high blood pressure|diabetes|anemia|eczema|allergies|depression|anxiety|asthma|migraine|a sore throat|kidney stones]],
    dish = words[[fried rice|pancakes|lasagna|apple pie|chicken soup|tomato sauce|banana bread|sushi|pizza dough|mashed potatoes|
      french fries|iced coffee|yogurt|ice cream|meatballs|omelette|pad thai|guacamole|hummus|brownies]],
    person = words[[shakespeare|napoleon|einstein|newton|edison|mozart|beethoven|picasso|gandhi|lincoln|washington|caesar|
      cleopatra|darwin|tesla|michael jordan|messi|ronaldo|elon musk|bill gates|steve jobs|obama]],
    work = words[[hamlet|harry potter|the lord of the rings|game of thrones|titanic|avatar|inception|the godfather|
      star wars|the matrix|breaking bad|friends|pride and prejudice|moby dick|the great gatsby]],
    word = words[[machine learning|blockchain|cloud computing|inflation|photosynthesis|quantum mechanics|relativity|
      a black hole|the greenhouse effect|compound interest|a mutual fund|an index fund|gross profit|net income|
      object oriented programming|recursion|a hash table|a neural network|the pythagorean theorem|opportunity cost]],
  },
}

-- -- Questions: a kind of thing, then ways to ask the same of it ---------------------------

local QUESTIONS = {
  zh = {
    { "product", "@多少钱", "@价格是多少", "@要多少钱", "买一个@得花多少钱", "@一般什么价格", "现在@卖多少钱" },
    { "product", "@什么牌子好", "哪个牌子的@好", "@哪个品牌比较好", "买@选什么牌子", "什么品牌的@质量好", "@哪家的好" },
    { "product", "怎么清洗@", "@怎么洗", "@应该如何清洗", "清洗@的方法", "怎样才能把@洗干净", "@脏了怎么洗" },
    { "product", "@坏了怎么办", "@出故障了怎么处理", "@坏了如何修", "@不能用了怎么办", "修@找谁" },
    { "product", "@能用多久", "@的使用寿命是多长", "@可以用几年", "一个@一般能用多少年" },
    { "product", "如何挑选@", "怎么选@", "买@要注意什么", "选购@的技巧", "怎样挑@" },
    { "product", "@在哪里买", "哪里可以买到@", "去哪买@", "哪儿有卖@的", "@什么地方有卖" },
    { "app", "@怎么注册", "如何注册@", "怎样申请@账号", "@账号怎么注册", "注册@的步骤" },
    { "app", "@怎么注销账号", "如何注销@", "@账号怎么注销", "怎样删除@账号", "不想用@了怎么注销" },
    { "app", "@密码忘了怎么办", "忘记@密码怎么找回", "@怎么找回密码", "@的密码忘记了如何找回" },
    { "app", "@打不开怎么办", "为什么@打不开", "@打不开了是怎么回事", "@无法打开怎么解决" },
    { "app", "@闪退怎么解决", "@老是闪退怎么办", "@总是自动退出怎么回事" },
    { "app", "如何下载@", "@在哪下载", "怎么下载@", "@下载地址是什么", "哪里能下载@" },
    { "app", "@怎么修改密码", "如何修改@密码", "@在哪里改密码", "@密码怎么改" },
    { "app", "@怎么设置黑名单", "如何在@里拉黑别人", "@怎么拉黑一个人" },
    { "app", "@怎么更新", "怎样升级@", "@如何更新到最新版本", "@怎么升级" },
    { "app", "@怎么赚钱", "如何用@赚钱", "@怎样挣钱", "玩@能赚到钱吗怎么赚" },
    { "place", "@有什么好玩的", "@有哪些好玩的地方", "去@玩什么", "@旅游景点有哪些", "@哪里好玩" },
    { "place", "@有什么好吃的", "@有哪些特色美食", "@有啥好吃的", "去@吃什么好" },
    { "place", "@今天天气怎么样", "今天@天气如何", "@今天的天气", "@今天天气好吗" },
    { "place", "@明天天气怎么样", "明天@天气如何", "@明天的天气", "明天@会下雨吗" },
    { "place", "去@怎么走", "怎么去@", "到@怎么坐车", "去@坐什么车" },
    { "place", "@房价多少", "@的房价是多少", "@现在房价多少一平", "@的房子多少钱一平米" },
    { "place", "@人口有多少", "@有多少人", "@总人口是多少" },
    { "place", "去@旅游要多少钱", "到@旅游大概花多少钱", "@旅游费用是多少", "去@玩一趟要花多少钱" },
    { "place", "什么时候去@旅游最好", "@几月份去最好", "去@旅游的最佳时间是什么时候" },
    { "doc", "@怎么办理", "如何办理@", "办@需要什么手续", "怎样办@", "@办理流程" },
    { "doc", "@丢了怎么办", "@遗失了怎么补办", "补办@怎么弄", "@掉了如何补办" },
    { "doc", "办@需要什么材料", "办理@要带什么", "办@要哪些资料", "申请@需要准备哪些材料" },
    { "doc", "办@要多久", "@多长时间能办好", "@几天能下来", "办理@需要多长时间" },
    { "doc", "办@要多少钱", "@办理费用是多少", "办理@收费多少" },
    { "doc", "@在哪里办", "去哪里办理@", "办@去什么地方", "@到哪儿办" },
    { "illness", "@怎么办", "@了怎么办", "得了@怎么办", "有@该怎么办" },
    { "illness", "@吃什么药", "@吃什么药好得快", "得了@应该吃什么药", "治@的药有哪些" },
    { "illness", "@不能吃什么", "@忌口什么", "@有哪些不能吃", "得了@什么东西不能吃" },
    { "illness", "@是什么原因引起的", "为什么会@", "@的原因是什么", "什么引起的@" },
    { "illness", "@怎么预防", "如何预防@", "预防@的方法", "怎样才能不得@" },
    { "illness", "@有什么症状", "@的症状是什么", "@的表现有哪些", "得了@会怎么样" },
    { "illness", "@会传染吗", "@传染不传染", "@有没有传染性", "@是不是会传染" },
    { "dish", "@怎么做", "如何做@", "@的做法", "怎样做@好吃", "@怎么做才好吃" },
    { "dish", "@的热量是多少", "@有多少卡路里", "吃@会胖吗热量多少", "@热量高不高" },
    { "dish", "@放什么调料", "做@要放哪些调料", "做@需要什么佐料" },
    { "person", "@是谁", "@是什么人", "介绍一下@", "@个人简介" },
    { "person", "@是哪里人", "@是什么地方的人", "@的老家在哪", "@出生在哪里" },
    { "person", "@是怎么死的", "@的死因是什么", "@怎么去世的" },
    { "person", "@什么时候出生的", "@出生于哪一年", "@的生日是哪天", "@哪年出生" },
    { "person", "@的老婆是谁", "@的妻子叫什么", "@娶了谁" },
    { "work", "@讲的是什么", "@主要讲了什么故事", "@的内容是什么", "@主要内容" },
    { "work", "@的作者是谁", "谁写的@", "@是谁写的", "@作者叫什么" },
    { "work", "@的主角是谁", "@的主人公叫什么", "@主演是谁" },
    { "work", "@结局是什么", "@最后怎么样了", "@的大结局是什么" },
    { "work", "@在哪里可以看", "哪里能看@", "@去哪看", "@在什么网站能看" },
    { "word", "什么是@", "@是什么", "@是什么意思", "@的含义是什么", "请解释一下@" },
    { "word", "@有什么用", "@的作用是什么", "@有哪些用途", "学@有什么用处" },
    { "word", "怎么学习@", "如何学@", "学习@的方法", "怎样才能学好@" },
    { "word", "@的缺点是什么", "@有什么缺点", "@有哪些不好的地方" },
    { "word", "@的优点是什么", "@有什么优点", "@有哪些好处" },
  },
  en = {
    { "product", "how much does @ cost", "what is the price of @", "what does @ cost", "@ price", "how expensive is @" },
    { "product", "which brand of @ is best", "what is the best @ brand", "what are the best brands of @", "best @ to buy" },
    { "product", "how do i clean my @", "what is the best way to clean @", "how can i clean @", "how to clean @" },
    { "product", "my @ is broken what should i do", "how do i repair my @", "how to fix @", "how can i fix a broken @" },
    { "product", "how long does @ last", "what is the lifespan of @", "how many years does @ last" },
    { "product", "where can i buy @", "where to buy @", "where is @ sold", "what is a good place to buy @" },
    { "app", "how do i create @ account", "how can i sign up for @", "how to register on @", "how do i make a @ account" },
    { "app", "how do i delete my @ account", "how can i delete @ account", "how to close my @ account permanently", "what is the way to remove my @ account" },
    { "app", "i forgot my @ password", "how do i recover my @ password", "how can i get back into @ if i forgot the password" },
    { "app", "why is @ not working", "why does @ not open", "@ is not working what should i do", "what can i do if @ does not open" },
    { "app", "how do i download @", "where can i download @", "how to download @", "what is the download link of @" },
    { "app", "how do i update @", "how can i upgrade @ to the latest version", "how to update @" },
    { "app", "how can i make money on @", "how do people earn money with @", "what are ways to earn on @" },
    { "app", "how do i change my @ password", "how can i change the password of @", "where do i change my password in @" },
    { "place", "what are the best places to visit in @", "what should i see in @", "which places should i visit in @", "what to see in @" },
    { "place", "what is the best food in @", "what should i eat in @", "where to eat in @" },
    { "place", "what is the weather in @ today", "how is the weather in @ today", "@ weather today" },
    { "place", "what is the weather in @ tomorrow", "how will the weather be in @ tomorrow", "@ weather tomorrow" },
    { "place", "what is the population of @", "how many people live in @", "how big is the population of @" },
    { "place", "what is the best time to visit @", "when should i visit @", "when is the best time to go to @" },
    { "place", "how can i get a job in @", "how do i find work in @", "what is the way to find a job in @" },
    { "place", "how expensive is it to live in @", "what is the cost of living in @", "how much does living in @ cost" },
    { "doc", "how do i get a @", "how can i apply for @", "what is the process to get a @", "how to obtain a @" },
    { "doc", "i lost my @ what should i do", "what do i do if i lose my @", "how do i replace a lost @" },
    { "doc", "what documents are required for @", "which documents do i need for a @", "what papers do i need to apply for @" },
    { "doc", "how long does it take to get a @", "how many days does a @ take", "what is the processing time of @" },
    { "doc", "how much does it cost to get a @", "what is the fee for a @", "what do i pay for a @" },
    { "illness", "how do i get rid of @", "what is the best treatment for @", "how can i cure @", "how to treat @" },
    { "illness", "what causes @", "what are the causes of @", "why do people get @", "what is the reason for @" },
    { "illness", "how can i prevent @", "what can i do to avoid @", "how do i avoid getting @" },
    { "illness", "what are the symptoms of @", "how do i know if i have @", "what are signs of @" },
    { "dish", "how do i make @", "how to cook @", "what is the best recipe for @", "how can i make @ at home" },
    { "dish", "how many calories are in @", "what is the calorie count of @", "is @ high in calories how many" },
    { "person", "who was @", "who is @", "tell me about @" },
    { "person", "how did @ die", "what was the cause of death of @", "what did @ die of" },
    { "person", "when was @ born", "what is the birth date of @", "what year was @ born" },
    { "person", "where was @ born", "what is the birthplace of @", "which place was @ born in" },
    { "work", "what is @ about", "what is the plot of @", "what happens in @" },
    { "work", "who wrote @", "who is the author of @", "who made @" },
    { "work", "how does @ end", "what is the ending of @", "what happens at the end of @" },
    { "work", "where can i watch @", "where to see @ online", "which site has @" },
    { "word", "what is @", "what does @ mean", "can you explain @", "what is the meaning of @" },
    { "word", "what are the advantages of @", "what is good about @", "what are the benefits of @" },
    { "word", "what are the disadvantages of @", "what is bad about @", "what are the drawbacks of @" },
    { "word", "how do i learn @", "what is the best way to learn @", "how can i study @" },
  },
}

-- Words that turn a question round; whoever exchanges one for the other asks something else.
local TURNS = {
  zh = words[[打开:关闭|开启:关掉|买:卖|增加:减少|上涨:下跌|提高:降低|以前:以后|之前:之后|左边:右边|上面:下面|安装:卸载|登录:退出|
    允许:禁止|可以:不可以|能:不能|会:不会|最大:最小|最高:最低|最好:最差|男:女|男朋友:女朋友|爸爸:妈妈|儿子:女儿|存款:取款|借钱:还钱|
    进口:出口|优点:缺点|好处:坏处|白天:晚上|今天:明天|去年:今年|春天:秋天|冷:热|快:慢|早上:晚上|第一:第二|国内:国外|老师:学生|
    发送:接收|上传:下载|输入:输出|开始:结束|结婚:离婚|怀孕:避孕|减肥:增肥|手机:电脑|电话:短信|照片:视频|歌:电影|小说:漫画|
    猫:狗|苹果:香蕉|红色:蓝色|公斤:斤|米:厘米|一个月:一年|两天:三天|大学:高中|数学:英语|语文:物理|怎么:为什么|多少钱:多久|谁:哪里]],
  en = words[[enable:disable|open:close|buy:sell|increase:decrease|before:after|install:uninstall|log in:log out|allow:forbid|
    best:worst|highest:lowest|largest:smallest|boy:girl|boyfriend:girlfriend|father:mother|son:daughter|import:export|
    advantages:disadvantages|day:night|today:tomorrow|cold:hot|fast:slow|morning:evening|first:second|upload:download|
    send:receive|start:stop|lose weight:gain weight|phone:computer|photo:video|cat:dog|red:blue|men:women|is it legal:is it illegal|
    how:why|when:where|who:what|can:can not|should:should not|do:do not|one month:one year|two days:three days|math:english]],
}
local FRAMES = {
  zh = words[[怎么~|如何~呢|~怎么办|~好不好|~有什么影响|请问~怎么样|~要注意什么|我想知道~怎么做|~的方法有哪些|什么时候~比较好|~需要多少钱]],
  en = words[[how to ~|what happens if i ~|tips for ~|is it good to ~|what about ~|which one is better for ~|how long does it take to ~]],
}

-- -- Around a question ------------------------------------------------------------------------

local BEFORE = {
  zh = words[[请问|请问一下|想问一下|我想知道|谁知道|有谁知道|急，|求助，|各位大神，|大家知道|麻烦问下|谁能告诉我|帮忙看看]],
  en = words[[please tell me|can you tell me|hi,|i want to know|does anyone know|quick question:|hello, |could you explain]],
}
local AFTER = {
  zh = words[[呢|啊|吗？|呀|？|?|！|。|，谢谢|，急|，求解答|？？|，在线等]],
  en = words[[?|??|, please|, thanks|.|!|please?]],
}
local SWAPS = { -- the same in other words
  zh = words[[怎么:怎样|怎么:如何|如何:怎样|什么:啥|哪里:哪儿|多少钱:什么价|可以:能|为什么:为啥|好吗:好不好|需要:要|办理:办|方法:办法|现在:目前|的:]],
  en = words[[how do i:how can i|how do i:how to|what is:what's|can i:could i|best:good|buy:purchase|get rid of:remove|fix:repair|my :the |do not:don't]],
}

local function replace(text, pair, both)
  local from, to = pair:match("^(.-):(.*)$")
  if both and math.random(2) == 1 then from, to = to, from end
  local at, last = 0, nil
  if from == "" then return nil end
  at, last = text:find(from, 1, true)
  return at and text:sub(1, at - 1) .. to .. text:sub(last + 1) or nil
end

local function dress(text, lang)
  if math.random(4) == 1 then text = pick(BEFORE[lang]) .. (lang == "en" and " " or "") .. text end
  if math.random(2) == 1 then text = text .. pick(AFTER[lang]) end
  if math.random(3) == 1 then text = replace(text, pick(SWAPS[lang]), true) or text end
  if lang == "en" and math.random(2) == 1 then text = text:sub(1, 1):upper() .. text:sub(2) end
  return text
end

local function fill(form, thing) return (form:gsub("@", (thing:gsub("%%", "%%%%")))) end
local function form_of(question) return question[math.random(2, #question)] end

local function other(list, than)
  local x
  repeat x = pick(list) until x ~= than
  return x
end

local function same_of(lang)
  local q = pick(QUESTIONS[lang])
  local thing = pick(THINGS[lang][q[1]])
  return fill(form_of(q), thing), fill(form_of(q), thing)
end

local function other_thing(lang)
  local q = pick(QUESTIONS[lang])
  local things = THINGS[lang][q[1]]
  local thing, form = pick(things), form_of(q)
  return fill(form, thing), fill(math.random(2) == 1 and form or form_of(q), other(things, thing))
end

local function other_question(lang)
  local q, r = pick(QUESTIONS[lang]), nil
  repeat r = pick(QUESTIONS[lang]) until r ~= q and r[1] == q[1]
  local thing = pick(THINGS[lang][q[1]])
  return fill(form_of(q), thing), fill(form_of(r), thing)
end

local function turned(lang)
  local x, y = pick(TURNS[lang]):match("^(.-):(.*)$")
  local q = pick(QUESTIONS[lang])
  local thing, frame = pick(THINGS[lang][q[1]]), pick(FRAMES[lang])
  local gap = lang == "en" and " " or ""
  local function make(w) return (frame:gsub("~", w .. gap .. thing)) end
  return make(x), make(y)
end

local function unrelated(lang)
  local a = same_of(lang)
  return a, (same_of(lang))
end

local function quote(s) return '"' .. s:gsub('[\\"]', "\\%0") .. '"' end

-- -- Changes of texts ---------------------------------------------------------------------------

-- Phrases that mean the same, by what they mean; and what a phrase means.
local GROUPS, MEANS, KIND = {}, {}, {}
do
  local f = io.open("core/semantic/phrases.c")
  for kind, text, means in (f and f:read("*a") or ""):gmatch('([FQNO])%("([^"]+)"[, ]*"?([^")]*)"?%)') do
    MEANS[text], KIND[text] = means, kind
    if kind == "Q" or kind == "O" then
      GROUPS[means] = GROUPS[means] or {}
      table.insert(GROUPS[means], text)
    end
  end
  if f then f:close() end
end
local ASKING = { zh = { "什么", "怎么", "哪里", "为什么", "多少钱", "谁", "什么时候", "多久", "哪个" },
                 en = { "how", "what", "where", "why", "when", "who", "which" } }

-- A text as pieces { text, phrase = } and, between phrases, { text, thing = true }.
local function pieces_zh(text)
  local chars, out, at = {}, {}, 1
  for c in text:gmatch("[%z\1-\127\194-\244][\128-\191]*") do chars[#chars + 1] = c end
  local function thing(c)
    local last = out[#out]
    if last and last.thing and #last.text < 12 then last.text = last.text .. c
    else out[#out + 1] = { text = c, thing = true } end
  end
  while at <= #chars do
    local found
    for n = 6, 1, -1 do
      local w = table.concat(chars, "", at, math.min(#chars, at + n - 1))
      if at + n - 1 <= #chars and MEANS[w] then found = { text = w, phrase = true } at = at + n break end
    end
    if found then out[#out + 1] = found
    elseif chars[at]:byte() >= 0xE4 and chars[at]:byte() <= 0xE9 then thing(chars[at]) at = at + 1
    else out[#out + 1] = { text = chars[at], mark = true } at = at + 1 end
  end
  return out
end

local function pieces_en(text)
  local out = {}
  for space, w in text:lower():gmatch("(%A*)(%a*)") do
    if space ~= "" then out[#out + 1] = { text = space, mark = true } end
    if w ~= "" then out[#out + 1] = { text = w, phrase = MEANS[w] ~= nil, thing = MEANS[w] == nil and #w > 3 } end
  end
  return out
end

local function joined(pieces)
  local out = {}
  for i, p in ipairs(pieces) do out[i] = p.text end
  return table.concat(out)
end

local TEXTS = { zh = {}, en = {} }
local function pieces_of(text, lang) return lang == "zh" and pieces_zh(text) or pieces_en(text) end
for line in arg[3] and io.lines(arg[3]) or function() end do
  local lang = line:find("[\228-\233]") and "zh" or "en"
  if #line <= (lang == "zh" and 90 or 110) then table.insert(TEXTS[lang], line) end
end

local function some(pieces, field)
  local list = {}
  for i, p in ipairs(pieces) do if p[field] then list[#list + 1] = i end end
  return #list > 0 and pick(list) or nil
end

local function random_thing(lang, like)
  for _ = 1, 20 do
    local pieces = pieces_of(pick(TEXTS[lang]), lang)
    local i = some(pieces, "thing")
    if i and pieces[i].text ~= like and math.abs(#pieces[i].text - #like) <= 6 then return pieces[i].text end
  end
  return nil
end

-- Words of the same meaning; fillers that come and go.
local function reworded(text, lang)
  local pieces = pieces_of(text, lang)
  local out = {}
  for _, p in ipairs(pieces) do
    local w = p.text
    if p.phrase and KIND[w] == "F" and lang == "zh" then
      if math.random(3) > 1 then out[#out + 1] = w end
    elseif p.phrase and GROUPS[MEANS[w]] and math.random(2) == 1 and (lang == "zh" or KIND[w] == "O") then
      out[#out + 1] = pick(GROUPS[MEANS[w]])
    else out[#out + 1] = w end
    if lang == "zh" and math.random(14) == 1 then out[#out + 1] = pick{ "的", "这个", "一下", "啊", "就", "都" } end
  end
  return table.concat(out)
end

-- Two parts at a comma or a space of a Chinese text, the other way round.
local function reordered(text, lang)
  local a, b
  if lang == "zh" then a, b = text:match("^(.-[^%s])，(.+)$") else a, b = text:match("^(.-), (.+)$") end
  if not a or #a < 6 or #b < 6 then return nil end
  return b:gsub("[%.%?!]$", "") .. (lang == "zh" and "，" or ", ") .. a
end

local function changed_thing(text, lang)
  local pieces = pieces_of(text, lang)
  local i = some(pieces, "thing")
  local other_one = i and random_thing(lang, pieces[i].text)
  if not other_one then return nil end
  pieces[i].text = other_one
  return joined(pieces)
end

local function dropped_thing(text, lang)
  local pieces = pieces_of(text, lang)
  local i = some(pieces, "thing")
  if not i or #pieces < 4 then return nil end
  pieces[i].text = ""
  return joined(pieces)
end

local function changed_question(text, lang)
  local pieces = pieces_of(text, lang)
  for _, p in ipairs(pieces) do
    if p.phrase and KIND[p.text] == "Q" then
      local w = pick(ASKING[lang])
      if MEANS[w] == MEANS[p.text] then return nil end
      p.text = w
      return joined(pieces)
    end
  end
  return nil
end

local function changed_number(text)
  local n = text:match("%d+")
  return n and (text:gsub(n, tostring(tonumber(n) + math.random(9)), 1)) or nil
end

local function turned_text(text, lang)
  for _ = 1, 30 do
    local out = replace(text, pick(TURNS[lang]), true)
    if out then return out end
  end
  return nil
end

local CHANGES = { { reworded, true }, { reworded, true }, { reworded, true }, { reworded, true }, { reordered, true }, { changed_thing, false },
                  { changed_thing, false }, { changed_thing, false }, { changed_question, false }, { changed_number, false },
                  { turned_text, false }, { dropped_thing, false } }

local function change_of(lang)
  local text = pick(TEXTS[lang])
  local change = pick(CHANGES)
  local other_text = change[1](text, lang)
  if not other_text or other_text == text then return nil end
  if not change[2] and math.random(2) == 1 then other_text = reworded(other_text, lang) end
  return text, other_text, change[2]
end

local KINDS = { { same_of, true }, { same_of, true }, { same_of, true }, { other_thing, false }, { other_question, false },
                { other_question, false }, { turned, false }, { unrelated, false } }

local made = 0
while made < COUNT do
  local lang, kind = math.random(5) <= 3 and "zh" or "en", pick(KINDS)
  local a, b, same
  if #TEXTS[lang] > 0 and math.random(2) == 1 then a, b, same = change_of(lang)
  else
    a, b = kind[1](lang)
    same = kind[2]
  end
  if a and (a ~= b or same) then
    made = made + 1
    io.write(("{\"a\":%s,\"b\":%s,\"same\":%s}\n"):format(quote(dress(a, lang)), quote(dress(b, lang)), tostring(same)))
  end
end
