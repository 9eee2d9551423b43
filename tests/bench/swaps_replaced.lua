-- swaps_replaced.lua -- the same sentence with one word replaced: by another thing, or by one of the same meaning.
-- For swaps.lua.
--
-- Swaps must be told apart, controls must not.  `tuned` was looked at while core/semantic/guard_replaced.c and its lists
-- of synonyms were made; `held` was written before that, by the same hand, and thresholds were not changed for it.  Its
-- controls are a hard case: each is nothing but a synonym, and some of these came to the same hand for the lists.  Without any
-- list 6 English and 14 Chinese ones are refused.  Words are plain ones: no names, numbers or opposites.

local M = { tuned = { swaps = {}, controls = {} }, held = { swaps = {}, controls = {} } }

local function add(list, language, text)
  for line in text:gmatch("[^\n]+") do
    local a, b = line:match("^%s*(.-)%s*|%s*(.-)%s*$")
    if a then list[#list + 1] = { language, a, b } end
  end
end

-- -- Looked at ------------------------------------------------------------------------------

add(M.tuned.swaps, "English", [[
How do I clean a cast iron skillet? | How do I season a cast iron skillet?
What is the best fertilizer for roses? | What is the best fertilizer for lawns?
Can I freeze cooked rice? | Can I freeze cooked pasta?
How do I get wine stains out of a carpet? | How do I get coffee stains out of a carpet?
How many bones are in the human foot? | How many bones are in the human hand?
Why does my car make a grinding noise? | Why does my car make a whistling noise?
How do I write a resignation letter? | How do I write a recommendation letter?
What vaccines does a kitten need? | What vaccines does a rabbit need?
How long does it take to learn welding? | How long does it take to learn carpentry?
How do I rename a folder in the terminal? | How do I copy a folder in the terminal?
What are the symptoms of anemia? | What are the symptoms of gout?
How do I remove a splinter? | How do I remove a tick?
What is the capital gains tax on a house? | What is the capital gains tax on a painting?
How do I replace a bathroom faucet? | How do I replace a bathroom mirror?
Do I need a permit to build a deck? | Do I need a permit to build a shed?
How does a microwave oven work? | How does a convection oven work?
Which muscles does rowing train? | Which muscles does cycling train?
How do I apply for unemployment benefits? | How do I apply for disability benefits?
Can dogs eat grapes? | Can dogs eat bananas?
What is the melting point of copper? | What is the melting point of zinc?
How do I sort an array of strings? | How do I sort an array of objects?
What should I wear to a wedding? | What should I wear to a funeral?
How can I improve my handwriting? | How can I improve my posture?
How do I export my contacts? | How do I export my bookmarks?
Who pays for the bride's dress? | Who pays for the bride's flowers?
How much does a dental crown cost? | How much does a dental bridge cost?
What's the pressure inside a tire? | What's the temperature inside a tire?
How do I report a lost passport? | How do I renew a lost passport?
How do I add a watermark to a document? | How do I add a signature to a document?
What are good exercises for back pain? | What are good exercises for knee pain?
How do I split a column into two? | How do I split a cell into two?
Where can I donate old books? | Where can I donate old furniture?
How does the heart pump blood? | How does the heart filter blood?
When do tulips bloom? | When do peonies bloom?
What is the boiling point of ethanol? | What is the density of ethanol?
How do I fry an egg? | How do I poach an egg?
My neighbour's music is too loud, what can I do? | My neighbour's dog is too loud, what can I do?
Tips for a job interview by phone | Tips for a job interview by video
How do I mail a parcel abroad? | How do I track a parcel abroad?
The function returns a list, how do I print it? | The function returns a list, how do I reverse it?
]])

add(M.tuned.swaps, "Chinese", [[
怎么去除衣服上的油渍 | 怎么去除衣服上的墨渍
玫瑰花怎么养 | 茉莉花怎么养
米饭可以冷冻吗 | 面条可以冷冻吗
感冒可以喝牛奶吗 | 感冒可以喝咖啡吗
怎么写辞职信 | 怎么写推荐信
狗狗可以吃葡萄吗 | 狗狗可以吃香蕉吗
如何更换水龙头 | 如何更换马桶
贫血有什么症状 | 痛风有什么症状
铜的熔点是多少 | 锌的熔点是多少
膝盖疼怎么锻炼 | 肩膀疼怎么锻炼
怎么申请失业金 | 怎么申请公积金
参加婚礼穿什么 | 参加葬礼穿什么
怎么给文档加水印 | 怎么给文档加页码
汽车保养多少钱 | 汽车喷漆多少钱
孩子发烧怎么办 | 孩子咳嗽怎么办
怎样练好字 | 怎样练好嗓子
电脑黑屏怎么办 | 电脑蓝屏怎么办
蒸鸡蛋要多长时间 | 煮鸡蛋要多长时间
护照丢了怎么补办 | 户口本丢了怎么补办
怎么提高记忆力 | 怎么提高免疫力
旧书可以捐到哪里 | 旧衣服可以捐到哪里
空调不制冷是什么原因 | 冰箱不制冷是什么原因
怎么查询社保 | 怎么查询违章
如何导出通讯录 | 如何导出聊天记录
喝绿茶有什么好处 | 喝红茶有什么好处
学游泳要多久 | 学滑雪要多久
洗衣机漏水怎么办 | 洗衣机噪音大怎么办
眼睛干涩怎么缓解 | 嘴唇干涩怎么缓解
怎么做蛋糕 | 怎么做饼干
羽绒服怎么清洗 | 羽绒服怎么收纳
租房合同怎么写 | 劳动合同怎么写
牙齿松动怎么办 | 牙齿发黄怎么办
兰花叶子发黄 | 绿萝叶子发黄
打印机卡纸怎么处理 | 打印机缺墨怎么处理
怎么预约挂号 | 怎么预约体检
跑步能瘦腿吗 | 跳绳能瘦腿吗
如何选购沙发 | 如何选购床垫
怎么注销账号 | 怎么找回账号
孕妇能吃榴莲吗 | 孕妇能吃菠萝吗
手机进水怎么办 | 手机发热怎么办
]])

add(M.tuned.controls, "English", [[
How do I repair a leaking pipe? | How do I fix a leaking pipe?
How do I delete my account? | How do I remove my account?
What is the quickest way to boil eggs? | What is the fastest way to boil eggs?
Which doctor treats skin rashes? | Which physician treats skin rashes?
How can I begin a small business? | How can I start a small business?
Why is my baby crying at night? | Why is my infant crying at night?
What is the price of a new roof? | What is the cost of a new roof?
How do I choose a mattress? | How do I pick a mattress?
Is it hard to learn the violin? | Is it difficult to learn the violin?
How do I build a bird house? | How do I make a bird house?
What causes a migraine? | What triggers a migraine?
How do I modify the settings? | How do I change the settings?
My car won't start in the cold | My automobile won't start in the cold
How do I reduce noise in a recording? | How do I lower noise in a recording?
Can I get a refund for a cancelled flight? | Can I receive a refund for a cancelled flight?
How do I find the area of a circle? | How do I calculate the area of a circle?
Which movie won the most awards? | Which film won the most awards?
What happens if a company goes bankrupt? | What happens if a firm goes bankrupt?
How do I show hidden files? | How do I display hidden files?
How can I improve my memory? | How can I boost my memory?
What does a lawyer do? | What does an attorney do?
I want to purchase a used bike | I want to buy a used bike
How do I finish a basement? | How do I complete a basement?
How do I combine two tables? | How do I merge two tables?
How do I avoid jet lag? | How do I prevent jet lag?
What are the advantages of solar panels? | What are the benefits of solar panels?
Are plastic toys safe for children? | Are plastic toys safe for kids?
How do I cook a turkey? | How do you cook a turkey?
How do I download photos from my phone? | How do I download pictures from my phone?
Where can I find my invoice? | Where can I see my invoice?
What's a healthy breakfast? | What is a healthy breakfast?
How do I clean the oven? | How do I clean an oven?
Explain how rainbows form | Describe how rainbows form
How do I stop my cat scratching the sofa? | How do I stop my cat scratching the couch?
how to train for a marathon | how to prepare for a marathon
What's the main reason for inflation? | What's the primary reason for inflation?
How do I set up a printer? | How do I configure a printer?
Can you recommend a good book? | Can you suggest a good book?
What is the correct way to lift weights? | What is the proper way to lift weights?
Do I need a permit to trim the trees? | Do I need a license to trim the trees?
]])

add(M.tuned.controls, "Chinese", [[
怎么维修洗衣机 | 怎么修理洗衣机
如何注销账户 | 如何注销账号
电脑很慢怎么办 | 电脑很卡怎么办
孩子发烧怎么办 | 小孩发烧怎么办
怎么购买火车票 | 怎么买火车票
医生说的话可信吗 | 大夫说的话可信吗
怎么挑选西瓜 | 怎么选择西瓜
房子的价格是多少 | 房子的价钱是多少
怎么快速入睡 | 怎么迅速入睡
怎么提高成绩 | 怎么提升成绩
感冒了怎么治疗 | 感冒了怎么医治
这部电影好看吗 | 这部影片好看吗
如何使用打印机 | 如何操作打印机
洗发水哪个牌子好 | 洗发水哪个品牌好
自行车多少钱 | 单车多少钱
肚子疼吃什么药 | 肚子痛吃什么药
怎么设置闹钟 | 怎么设定闹钟
西红柿怎么做好吃 | 番茄怎么做好吃
手机丢了怎么办 | 手机掉了怎么办
怎么去掉水印 | 怎么去除水印
怎么制作简历 | 怎么做简历
宝宝不吃饭怎么办 | 婴儿不吃饭怎么办
喝茶有什么好处 | 喝茶有什么益处
工资怎么计算 | 薪水怎么计算
出租车怎么收费 | 的士怎么收费
如何学习英语 | 怎么学好英语
怎样联系客服 | 怎样联络客服
怎么改名字 | 怎么改姓名
土豆怎么保存 | 马铃薯怎么保存
怎么查看余额 | 怎么查询余额
有什么漂亮的壁纸 | 有什么好看的壁纸
哪里可以下载照片 | 哪里可以下载相片
为什么会打嗝 | 为什么会打嗝呢
妈妈生日送什么 | 母亲生日送什么
怎么删除聊天记录 | 怎么清除聊天记录
冰箱坏了怎么办 | 冰箱故障怎么办
怎么让头发变黑 | 怎么使头发变黑
走路能减肥吗 | 散步能减肥吗
怎么做宫保鸡丁 | 宫保鸡丁的做法
酒店几点退房 | 宾馆几点退房
]])

-- -- Not looked at -----------------------------------------------------------------------------

add(M.held.swaps, "English", [[
How do I sharpen a kitchen knife? | How do I sharpen a chain saw?
What should I feed a hedgehog? | What should I feed a parrot?
How do I treat a burn? | How do I treat a blister?
How do I paint a ceiling? | How do I insulate a ceiling?
Why do cats purr? | Why do cats hiss?
What is the statute of limitations for fraud? | What is the statute of limitations for assault?
How do I count rows in a table? | How do I count columns in a table?
What are the side effects of surgery? | What are the side effects of radiation?
How do I get rid of ants? | How do I get rid of moths?
How deep should I plant garlic? | How deep should I plant carrots?
Can I bring a razor on a plane? | Can I bring an umbrella on a plane?
What is the shelf life of honey? | What is the shelf life of mustard?
How do I knit a scarf? | How do I knit a sweater?
How is cheese made? | How is butter made?
How do I dispute a parking ticket? | How do I pay a parking ticket?
What insurance do landlords need? | What insurance do contractors need?
How long do goldfish live? | How long do turtles live?
How does a pension plan work? | How does a dental plan work?
How do I crop a photo? | How do I rotate a photo?
Is it safe to swim in the river? | Is it safe to fish in the river?
How do I unclog a kitchen sink? | How do I unclog a storm drain?
Why is the sky blue? | Why is the ocean blue?
How do I parse a date in the log? | How do I parse a header in the log?
What is the tallest mountain in the region? | What is the tallest building in the region?
Which vitamins help with hair growth? | Which vitamins help with nail growth?
How do I open a savings account? | How do I open a brokerage account?
My laptop's fan is noisy | My laptop's keyboard is noisy
What do I need to adopt a child? | What do I need to adopt a dog?
How much caffeine is in tea? | How much caffeine is in chocolate?
How do I remove mold from wood? | How do I remove varnish from wood?
How do I bake a potato? | How do I bake a pie?
What is the speed of sound? | What is the speed of light?
How do I make a paper airplane? | How do I make a paper lantern?
Can I deduct mortgage interest? | Can I deduct moving expenses?
What is a good gift for a teacher? | What is a good gift for a nurse?
How do I verify a signature? | How do I forge a signature?
Which planet has the strongest winds? | Which planet has the strongest gravity?
How do I stretch leather shoes? | How do I polish leather shoes?
How do I lock a file? | How do I stream a file?
What are the rules of badminton? | What are the rules of cricket?
Can pregnant women eat sushi? | Can pregnant women eat shrimp?
How do I cite a website? | How do I cite a podcast?
What is the weight of a brick? | What is the size of a brick?
How do I hang a picture on plaster? | How do I hang a picture on brick?
How do I transfer a domain? | How do I transfer a phone number?
Where do swallows spend the winter? | Where do herons spend the winter?
How do I patch a hole in drywall? | How do I drill a hole in drywall?
Does my dog need a raincoat? | Does my dog need a muzzle?
What does a cardiologist do? | What does a dermatologist do?
The test is flaky, how do I retry it? | The test is flaky, how do I skip it?
]])

add(M.held.swaps, "Chinese", [[
怎么磨刀 | 怎么磨豆浆
刺猬吃什么 | 鹦鹉吃什么
烫伤怎么处理 | 擦伤怎么处理
蜂蜜的保质期多长 | 酱油的保质期多长
怎么织围巾 | 怎么织毛衣
如何消灭蟑螂 | 如何消灭老鼠
飞机上可以带雨伞吗 | 飞机上可以带充电宝吗
金鱼能活多久 | 仓鼠能活多久
怎么裁剪图片 | 怎么旋转图片
厨房下水道堵了怎么办 | 厨房油烟机堵了怎么办
天空为什么是蓝色的 | 大海为什么是蓝色的
送老师什么礼物 | 送护士什么礼物
羽毛球的规则 | 排球的规则
怎么擦皮鞋 | 怎么擦玻璃
孕妇可以吃虾吗 | 孕妇可以吃螃蟹吗
怎么冲咖啡 | 怎么冲奶粉
笔记本风扇声音大 | 笔记本键盘声音大
怎么过户车辆 | 怎么过户房产
皮肤过敏怎么办 | 鼻子过敏怎么办
大蒜怎么种 | 生姜怎么种
指甲为什么有竖纹 | 指甲为什么有白点
怎么给手机贴膜 | 怎么给手机充电
怎么缴纳罚款 | 怎么缴纳电费
怎么去除甲醛 | 怎么去除蚂蚁
如何训练狗狗握手 | 如何训练狗狗定点上厕所
木地板怎么打蜡 | 木地板怎么铺
如何预防近视 | 如何预防蛀牙
公司年会表演什么 | 公司年会吃什么
头皮屑多怎么办 | 头皮痒怎么办
轮胎多久换一次 | 机油多久换一次
怎么开发票 | 怎么开收据
吃辣椒会上火吗 | 吃荔枝会上火吗
新房装修要注意什么 | 新房验收要注意什么
糖尿病人能喝粥吗 | 糖尿病人能喝酒吗
毛笔怎么握 | 球拍怎么握
电梯故障怎么办 | 水管故障怎么办
怎么领取驾驶证 | 怎么领取结婚证
快递被偷了怎么办 | 快递破损了怎么办
牛肉怎么炖才烂 | 猪蹄怎么炖才烂
窗帘怎么洗 | 地毯怎么洗
驾校报名要什么材料 | 驾校报名要多大年龄
怎么合并单元格 | 怎么锁定单元格
阳台适合种什么花 | 阳台适合种什么菜
婚纱照哪家拍得好 | 全家福哪家拍得好
怎么应聘老师 | 怎么应聘会计
耳朵进水怎么办 | 耳朵耳鸣怎么办
鸡蛋放多久会坏 | 牛奶放多久会坏
怎么画眼线 | 怎么画眉毛
买车要交什么税 | 买车要交什么保险
论文怎么查重 | 论文怎么排版
]])

add(M.held.controls, "English", [[
How do I restore a deleted file? | How do I recover a deleted file?
What is the largest desert? | What is the biggest desert?
Why do people yawn? | Why do humans yawn?
How do I mend torn jeans? | How do I repair torn jeans?
Is garlic good for your heart? | Is garlic healthy for your heart?
How do I contact support? | How do I reach support?
What is the meaning of this error? | What is the definition of this error?
How do I convert a string to a number? | How do I turn a string into a number?
How do I quit smoking? | How do I stop smoking?
Which job pays the most? | Which occupation pays the most?
How do I earn money online? | How do I make money online?
How often should I wash my car? | How often should I clean my car?
What are common mistakes in chess? | What are typical mistakes in chess?
How do I locate my phone? | How do I find my phone?
Where should I store potatoes? | Where should I keep potatoes?
What is a simple recipe for soup? | What is an easy recipe for soup?
Why is my stomach aching? | Why is my stomach hurting?
How do I assemble a bookshelf? | How do I put together a bookshelf?
Are there side effects of this drug? | Are there side effects of this medicine?
How do I speed up my computer? | How do I speed up my PC?
How can I protect my garden from frost? | How can I guard my garden from frost?
How can I make my hair shiny? | How can I get my hair shiny?
What kinds of trees lose their leaves? | What types of trees lose their leaves?
Can I alter a wedding dress? | Can I modify a wedding dress?
What is the function of the liver? | What is the role of the liver?
How do I select multiple files? | How do I choose multiple files?
How do I write an essay fast? | How do I write an essay quickly?
What are signs of dehydration? | What are symptoms of dehydration?
How do I obtain a visa? | How do I get a visa?
Is it risky to invest in gold? | Is it dangerous to invest in gold?
How do I throw away old paint? | How do I dispose of old paint?
How do I earn a college degree? | How do I earn a university degree?
How do I update my address? | How do I change my address?
Why is my phone battery draining? | Why is my cellphone battery draining?
What time does the store open? | What time does the shop open?
How do I check my balance? | How do I view my balance?
How do I answer this question? | How do I respond to this question?
How do I create a new user? | How do I add a new user?
What is the aim of the project? | What is the goal of the project?
What's the best place to live? | What's the best location to live?
How do I enhance a photo? | How do I improve a photo?
Give me tips on public speaking | Give me advice on public speaking
How do I permit cookies? | How do I allow cookies?
Is it rude to eat with hands? | Is it impolite to eat with hands?
How do I check whether a file exists? | How do I check if a file exists?
How do I search for a word? | How do I look for a word?
What subjects are taught at school? | What topics are taught at school?
How do I calm an angry client? | How do I calm an angry customer?
What should I do when I'm sick? | What should I do when I'm ill?
Are these shoes for women? | Are these shoes for ladies?
]])

add(M.held.controls, "Chinese", [[
怎么恢复删除的文件 | 怎么还原删除的文件
世界上最大的沙漠 | 全世界最大的沙漠
人为什么会打哈欠 | 人们为什么会打哈欠
怎么戒烟 | 怎么戒掉烟
大蒜对心脏有好处吗 | 大蒜对心脏有益吗
怎么联系卖家 | 怎么联系商家
什么工作工资高 | 什么职业工资高
网上怎么赚钱 | 网上怎么挣钱
多久洗一次车 | 多长时间洗一次车
怎么寻找丢失的手机 | 怎么找丢失的手机
土豆怎么储存 | 土豆怎么保存
简单的汤怎么做 | 容易的汤怎么做
胃疼怎么回事 | 胃痛怎么回事
这种药有副作用吗 | 这种药物有副作用吗
电脑怎么加速 | 计算机怎么加速
怎么保护眼睛 | 怎么爱护眼睛
怎么使皮肤变白 | 怎么让皮肤变白
肝脏的功能是什么 | 肝脏的作用是什么
如何选择大学专业 | 如何挑选大学专业
作文怎么写得快 | 作文怎么写得迅速
脱水有什么表现 | 脱水有什么症状
怎么办理签证 | 怎么申请签证
投资黄金有风险吗 | 投资黄金危险吗
旧油漆怎么扔 | 旧油漆怎么丢
怎么修改地址 | 怎么更改地址
商店几点开门 | 商店几点营业
怎么查话费 | 怎么查询话费
怎么回答面试问题 | 怎么回复面试问题
怎么新建用户 | 怎么创建用户
住在哪里最好 | 住在哪儿最好
当众演讲的技巧 | 当众演讲的窍门
怎么搜索歌曲 | 怎么查找歌曲
怎么安抚顾客 | 怎么安抚客户
生病了该怎么做 | 生病了应该怎么做
女士手表推荐 | 女生手表推荐
小狗不吃东西怎么办 | 狗狗不吃东西怎么办
怎么做饭 | 怎么煮饭
玉米怎么煮 | 苞谷怎么煮
爸爸过生日送什么 | 父亲过生日送什么
附近有什么饭店 | 附近有什么餐馆
公交车几点发车 | 公共汽车几点发车
有哪些好听的歌 | 有哪些好听的歌曲
脚肿是什么原因 | 脚肿是什么引起的
老是失眠怎么办 | 总是失眠怎么办
手机没反应怎么办 | 手机没有反应怎么办
美丽的风景在哪 | 漂亮的风景在哪
怎么下载软件 | 怎么下载应用
孩子叛逆怎么教育 | 小孩叛逆怎么教育
怎么邮寄包裹 | 怎么寄包裹
如何增强体质 | 如何提高体质
]])

return M
