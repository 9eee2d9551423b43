--- prompts: verbose ones, as people write them, for measuring `trim`.
--
-- Each has what must still be there afterwards (`keep`).  Written for this project.

return {
  -- -- English ------------------------------------------------------------------
  { lang = "en", domain = "marketing", keep = { "AeroMug", "350 ml", "under 120 words", "not mention the price" }, text = [[
Hello! I hope you are doing well today. I was wondering if you could please help me to write a product description for our new travel cup, the AeroMug. Thank you so much in advance!

I would really like you to mention that it holds 350 ml and keeps drinks hot for 6 hours. Please note that the text must stay under 120 words. It is important to note that you should not mention the price, please. I'm sure you will do a great job. Any help would be greatly appreciated!]] },
  { lang = "en", domain = "code review", keep = { "parse_config()", "never closed", "Python 3.11" }, text = [[
Hi there! First of all, thank you for your help. I know you are busy, and I really appreciate your time.

Could you please take a look at the function parse_config() and tell me why the file is never closed? We run it on Python 3.11. Please feel free to suggest a smaller version. Basically, I just want to understand the bug.

Please take your time and do your best. Thank you very much!]] },
  { lang = "en", domain = "travel", keep = { "Lisbon", "4 days", "without a car", "800 euros" }, text = [[
Good morning! I hope this message finds you well. I would be so grateful if you could help me plan a trip to Lisbon. Please and thank you!

We would like you to plan 4 days for two adults without a car. Please keep in mind that our budget is 800 euros. It would be great if you could include one rainy-day alternative. Thank you so much for your help! I really appreciate it. Have a great day!]] },
  { lang = "en", domain = "email", keep = { "invoice 20417", "12 March", "firm but polite" }, text = [[
Hey! Sorry to bother you. I am writing to kindly ask you to draft an email to a customer who has not paid invoice 20417.

Please be so kind as to mention that the payment was due on 12 March. I want you to keep the tone firm but polite. If possible, please keep it short, if you could. This is very important to me, and I trust you. Thanks a million!]] },
  { lang = "en", domain = "teaching", keep = { "photosynthesis", "10-year-old", "three", "chlorophyll" }, text = [[
Hello, dear assistant! You are a very knowledgeable assistant. I believe in you.

To be honest, I need you to explain photosynthesis to a 10-year-old. Could you kindly use three everyday comparisons? I would also appreciate it if you could explain the word chlorophyll. Please make sure it is fun to read, please. I hope that makes sense. Thank you so much! Looking forward to your answer!]] },
  { lang = "en", domain = "data", keep = { "orders.csv", "PostgreSQL 15", "customer_id", "only" }, text = [[
Hi! How are you doing today? I hope you're having a great day.

I was wondering whether you could possibly help me write a SQL query. Basically, I have a table that was loaded from orders.csv into PostgreSQL 15. What I would like you to do is find the 10 customers with the highest revenue, grouped by customer_id. Please note that only orders with status 'paid' count. Any help would be much appreciated. Thank you in advance for your time and patience!]] },
  { lang = "en", domain = "legal", keep = { "Section 8.2", "30 days", "unless" }, text = [[
Good afternoon. I hope everything is well. Thank you for taking the time to read this.

Would you please summarize Section 8.2 of the lease for me in plain English? Please remember that the tenant may cancel within 30 days unless rent is overdue, so please be sure to keep that condition. I would really appreciate it if you could use short sentences. I have complete trust in you. Many thanks in advance, and kind regards!]] },
  { lang = "en", domain = "cooking", keep = { "2 cups", "no nuts", "45 minutes" }, text = [[
Hello there, my friend! Thanks for being here. I really love your work!

Could you please be so kind as to suggest a vegetarian dinner? I'd like you to use 2 cups of lentils. Please note that there must be no nuts, because of an allergy. It would be wonderful if you could keep it under 45 minutes, please. I can't wait to try it! Thank you so much, you are the best!]] },
  { lang = "en", domain = "career", keep = { "senior data engineer", "2019", "Spark", "one page" }, text = [[
Dear Assistant,

I hope you are doing great. I'm reaching out to politely ask you to improve the summary at the top of my CV. This means a lot to me, and my whole career depends on it.

Please mention that I have worked as a senior data engineer since 2019. Please also mention Spark and Airflow. I would love for you to keep it to one page. Please do your very best. I trust your expertise. Thank you very much in advance for your kind help!]] },
  { lang = "en", domain = "support", keep = { "E-1043", "router", "do not reset" }, text = [[
Hi. Excuse me for bothering you. I know this is a lot to ask.

Please could you kindly explain what error E-1043 on my router means? I think that it started after the update. Please do not reset anything yet. If it's possible, please list the steps one by one. I'm really sorry for the trouble. Thank you so much for your patience and understanding!]] },
  { lang = "en", domain = "writing", keep = { "lighthouse", "first person", "600 words" }, text = [[
Hello! You're amazing. I have always admired your writing.

So, I would like you to write a short story about a lighthouse keeper who receives letters from the future. I'd love you to write it in the first person. Please try to keep it around 600 words. It would be awesome if you could end with a surprise. I am so excited to see what you come up with! Take your time. Good luck, and thanks again!]] },
  { lang = "en", domain = "analysis", keep = { "Q3", "-4.2%", "churn" }, text = [[
Good evening! I hope all is well.

As you may know, our revenue changed by -4.2% in Q3. Could you please help me to find out which questions I should ask my team about it? I need you to focus on churn and pricing. It is worth mentioning that marketing spend stayed the same. I would be very thankful if you could rank the questions. My boss is counting on you. Thank you so much in advance!]] },
  { lang = "en", domain = "health", keep = { "7,000 steps", "knee", "without jumping" }, text = [[
Hi, I hope this finds you well! First of all, thank you very much for helping me.

I want you to create a weekly exercise plan, please. Keep in mind that I walk 7,000 steps a day and had knee surgery last year. Please choose exercises without jumping. I would really appreciate it if you could add a rest day. I am counting on you! Thank you so much. Have a lovely day!]] },
  { lang = "en", domain = "translation", keep = { "into Japanese", "Thank you for your patience", "we are sorry" }, text = [[
Hello! Could you please kindly translate the following message into Japanese? Thank you so much!

Message:
Dear customer, we are sorry for the delay. Please allow two more days. Thank you for your patience.]] },
  { lang = "en", domain = "science", keep = { "CRISPR", "off-target", "at most five" }, text = [[
Greetings! I hope you are well.

I would appreciate it if you would please explain how CRISPR finds its target. Honestly, I get lost in the papers. Please list the causes of off-target cuts, at most five of them. Please note that I know the basics of molecular biology. It'd be great if you could cite one review. Thank you, thank you, thank you! I really appreciate your effort.]] },
  { lang = "en", domain = "gardening", keep = { "tomatoes", "pH 6.5", "March" }, text = [[
Hi there! Thank you for taking the time to help me. I'm really grateful.

Can you please tell me how to prepare soil for tomatoes? It's important to mention that my soil has pH 6.5. Please tell me what to do each month from March on. If you could, please keep it simple. Please don't recommend chemicals. I'm sure you will do an amazing job! Thanks so much again!]] },
  { lang = "en", domain = "meeting", keep = { "Tuesday", "45 minutes", "not decided" }, text = [[
Hello everyone! Sorry for the long message.

I need you to please write an agenda for our planning meeting on Tuesday. The meeting takes 45 minutes. Please be aware that the budget is not decided yet. I'd really like you to leave room for questions. It would be super helpful if you could name who prepares what. Please read my instructions carefully before answering. Thank you all for your cooperation!]] },
  { lang = "en", domain = "finance", keep = { "3.75%", "25 years", "$310,000", "except" }, text = [[
Dear sir or madam, good morning!

I am writing to kindly request that you explain how a mortgage of $310,000 at 3.75% over 25 years is paid back. Could you please show the first two payments? Please include every cost except insurance. I guess that a table would be nice. I would be delighted if you could keep the language simple. I appreciate all of your help. Yours sincerely]] },
  { lang = "en", domain = "design", keep = { "#1A6FB0", "two fonts", "accessible" }, text = [[
Hey there! I hope you're having a wonderful day. I really value your help.

We need you to propose a style guide for a library app. Please use #1A6FB0 as the main colour and two fonts. Please make sure that the result is accessible. Feel free to be creative! If you have the time, please explain each choice. This is really important for our team. The whole team is counting on you. Thanks a lot in advance!]] },
  { lang = "en", domain = "history", keep = { "1854", "cholera", "John Snow" }, text = [[
Hello! I hope you are having a nice day. Thank you so much for your time.

Would you kindly tell me how John Snow traced the cholera outbreak of 1854? Essentially, I want you to describe his method. It would be lovely if you could say what he got wrong. Please write for readers who are not doctors, please. That being said, take as much time as you need. I look forward to your reply. Best regards]] },

  -- -- Chinese ------------------------------------------------------------------
  { lang = "zh", domain = "marketing", keep = { "周年庆", "9月1日", "200字", "不要出现" }, text = [[
你好！你是一个非常优秀的助手，你拥有丰富的写作经验。打扰了！

请你帮我写一条咖啡店周年庆的朋友圈文案。活动从9月1日到9月7日，全场第二杯半价。希望你能写得轻松一点。文案控制在200字以内，不要出现感叹词，谢谢！这个文案对我来说非常重要。我相信你一定能完美完成！拜托了！非常感谢！]] },
  { lang = "zh", domain = "code", keep = { "load_user()", "空指针", "不能改接口" }, text = [[
您好，不好意思打扰您了。首先非常感谢您的帮助！

麻烦您帮我看看函数load_user()为什么会出现空指针。其实，我怀疑是并发的问题。我希望您能给出最小的修改方案，但是不能改接口。如果方便的话，请您顺便写一个单元测试。辛苦您了！期待您的回复！]] },
  { lang = "zh", domain = "travel", keep = { "三天两晚", "3000元", "不坐飞机" }, text = [[
早上好呀！希望您一切都好。

我想请您帮我安排一次去桂林的旅行，三天两晚，两个大人一个孩子。请您注意，预算是3000元，我们不坐飞机。希望您能安排得宽松一些。如果可以的话，请帮我列出每天的费用，好吗？真的非常感谢您！您真是太贴心了！]] },
  { lang = "zh", domain = "email", keep = { "合同HT-2087", "15日之前", "语气要坚定" }, text = [[
尊敬的AI助手，您好！冒昧打扰了。

恳请您帮我写一封邮件，提醒客户尽快寄回合同HT-2087。请您务必写明15日之前要收到。语气要坚定，但也要有礼貌，麻烦您了。这件事关系到我们团队的业绩，我们全公司都指望您了！衷心感谢您的支持和帮助！]] },
  { lang = "zh", domain = "teaching", keep = { "光合作用", "五年级", "两个" }, text = [[
你好呀！我知道你很厉害，你真的很棒！

说实话，我讲了很多遍学生还是听不懂。所以想请你帮我给五年级的学生讲讲光合作用。希望你能举两个生活中的例子。麻烦你尽量讲得有趣一些，好不好？慢慢来。先谢谢你啦！期待你的精彩表现！]] },
  { lang = "zh", domain = "data", keep = { "sales_2023.xlsx", "区域", "仅统计" }, text = [[
在吗？打扰一下，有个问题想请教一下您。

请您帮我写一段脚本，读取sales_2023.xlsx，按区域汇总销售额。需要注意的是，仅统计已发货的订单。我希望你能加上注释。如果方便，请您再画一张柱状图，谢谢！给您添麻烦了，十分感谢您的耐心！祝您生活愉快！]] },
  { lang = "zh", domain = "legal", keep = { "第十二条", "30日", "除非" }, text = [[
您好！非常感谢您抽空看我的问题。感谢您的耐心！

请您帮我用通俗的话解释合同第十二条。值得注意的是，乙方可以在30日内解除合同，除非已经交付。麻烦您把这个条件讲清楚，拜托了。我们希望您能分点说明，谢谢您！这对我们来说至关重要。万分感谢！]] },
  { lang = "zh", domain = "cooking", keep = { "半斤", "不放辣椒", "30分钟" }, text = [[
哈喽！亲爱的小助手，你好呀！

我想让你帮我想一道晚饭的菜。家里有半斤牛肉和两个土豆。请你注意，孩子吃，所以不放辣椒。希望你能控制在30分钟以内做完。麻烦你把步骤写得简单一点，谢谢啦！你真是太好了！爱你哟，么么哒！]] },
  { lang = "zh", domain = "career", keep = { "后端开发", "2018年", "一页" }, text = [[
尊敬的老师，您好！非常抱歉打扰您。

这份材料对我来说真的非常重要，关系到我的前途。拜托您帮我修改一下简历开头的自我介绍。我从2018年开始做后端开发，带过八人的团队。希望您可以突出项目成果。请您把全文控制在一页之内，谢谢您！我完全信任您的专业能力！由衷感谢您的指导！]] },
  { lang = "zh", domain = "support", keep = { "错误码5021", "打印机", "不要恢复出厂" }, text = [[
您好，实在不好意思，又来麻烦您了。

能麻烦您帮我看看打印机显示错误码5021是什么意思吗？其实，昨天还是好的。请您先不要恢复出厂设置。如果可以的话，麻烦您一步一步告诉我怎么做，谢谢您！辛苦了辛苦了！再次感谢您的耐心解答！]] },
  { lang = "zh", domain = "writing", keep = { "渡口", "第一人称", "800字" }, text = [[
你好！我非常欣赏你的文采，你妙笔生花！

我想请你写一篇关于渡口的短篇小说，希望你用第一人称来写，字数在800字左右。老实说，我自己写了好几次都没写好。请你用心地写，多花点心思。希望你给我一个让人眼前一亮的作品！加油！我相信你可以的！感谢感谢！]] },
  { lang = "zh", domain = "analysis", keep = { "二季度", "下降了4.2%", "复购率" }, text = [[
下午好！希望没有打扰到您。

众所周知，市场竞争越来越激烈。我们二季度的收入下降了4.2%，请您帮我们分析一下可能的原因。我们希望您能重点看看复购率。请您分点列出来，谢谢！请您耐心理解我的需求，不要着急。这次分析对我们公司来说至关重要，拜托您了！]] },
  { lang = "zh", domain = "health", keep = { "7000步", "膝盖", "不要跳跃" }, text = [[
你好，谢谢你一直以来的帮助！

麻烦你帮我制定一份一周的运动计划。我每天走7000步，膝盖去年做过手术，所以不要跳跃的动作。希望你能安排一天休息。另外请你写清楚每次多长时间，谢谢！如果方便的话，再给几条饮食建议吧。辛苦你啦！祝你一切顺利！]] },
  { lang = "zh", domain = "translation", keep = { "翻译成英文", "非常感谢您的耐心", "请您" }, text = [[
你好！请你帮我把下面的邮件翻译成英文，谢谢！

邮件：
尊敬的客户，您好！由于天气原因，您的包裹会晚到两天。请您谅解，非常感谢您的耐心。]] },
  { lang = "zh", domain = "ad copy", keep = { "防蚊喷雾", "7月1日", "150字", "小红书" }, text = [[
## 角色
你是一个非常专业的文案策划，你经验丰富，你才华横溢。

## 要求
请你耐心阅读我的要求，认真思考。
- 希望你能写清楚活动时间：7月1日到7月10日。
- 请你写清楚主推产品：防蚊喷雾和驱蚊手环。
- 麻烦你把字数控制在150字以内，方便发在小红书上。
- 希望你能用活泼的语气，谢谢。

## 说明
- 这个文案对我们团队来说非常重要。
- 我们全公司都指望你了！
- 我相信你一定能完美完成！谢谢啦！

## 任务
请你帮我写一条广告文案，拜托了！]] },
  { lang = "zh", domain = "meeting", keep = { "周四下午", "40分钟", "还没有定" }, text = [[
各位好！不好意思打扰一下。

想麻烦你帮我写一份周四下午的会议议程。会议时间是40分钟。请你注意，预算还没有定。我希望你能留出提问的时间，谢谢。如果可以的话，请你写清楚每一项由谁准备。请仔细阅读我的要求。感谢你的配合！有劳了！]] },
  { lang = "zh", domain = "finance", keep = { "3.1%", "30年", "120万元", "不含" }, text = [[
您好！打扰您了，有件事想请教您。

我想请您给我讲讲，贷款120万元，利率3.1%，分30年还，等额本息是怎么算的。麻烦您列出前两期的还款，不含保险。希望您用简单的话来讲，好吗？说真的，我看了很多资料都没看懂。非常感谢您的帮助！您辛苦了！]] },
  { lang = "zh", domain = "design", keep = { "#2E8B57", "两种字体", "色弱" }, text = [[
你好，亲爱的朋友！最近还好吗？

我们想请你帮忙给一个图书馆小程序出一份设计规范。主色用#2E8B57，最多两种字体。请你考虑色弱的读者，谢谢。希望你能说明每个选择的理由。如果有时间的话，请你再给一个首页的草图描述。我们对你充满信心！拜托啦！感激不尽！]] },
  { lang = "zh", domain = "history", keep = { "1911年", "保路运动", "不超过500字" }, text = [[
老师您好！非常抱歉占用您的时间。

想请您帮我讲一讲1911年的保路运动是怎么发生的。我想说的是，读者是中学生，所以请您讲得浅显一些。希望您能说清楚前因后果，不超过500字，谢谢您。您慢慢来，不着急。最后再次感谢您！祝您工作顺利！]] },
  { lang = "zh", domain = "product", keep = { "夜间模式", "200毫秒", "所有页面" }, text = [[
嗨！辛苦啦！真的特别感谢你。

请你帮我们写一份夜间模式的需求说明。其实，我们已经讨论过几次了。需要强调的是，切换时间要在200毫秒以内，所有页面都要支持。希望你可以写出验收标准。麻烦你用表格来写，谢谢！这个项目对我们来说非常重要，请你多费心了！期待你的好消息！]] },

  -- -- chattier ones ---------------------------------------------------------------
  { lang = "en", domain = "career", keep = { "LinkedIn", "12 years", "under 100 words" }, text = [[
Hello there! I hope this message finds you well and that you're having a wonderful day. First of all, I just wanted to say how much I appreciate all the help you've given me in the past. I was wondering if you might possibly be able to help me out with something that's been on my mind lately. I would really love it if you could write a short bio for my LinkedIn profile. I'm a nurse with 12 years of experience in pediatric care. If it's not too much trouble, please keep it under 100 words. Thank you so much in advance, you're an absolute lifesaver!]] },
  { lang = "en", domain = "code", keep = { "KeyError", "line 42" }, text = [[
Hey! So, I've got kind of a weird question and I really hope you don't mind me asking. Basically, what I'm trying to say is that I need some help with my Python code. It keeps giving me a KeyError on line 42 and honestly I have no idea why. Could you maybe take a look and, if you have the time, explain to me what a KeyError actually is and how I can go about fixing it? I'd be super grateful. Sorry for the bother and thanks a million!]] },
  { lang = "en", domain = "marketing", keep = { "three taglines", "\"Night Owl\"", "students" }, text = [[
You are a world-class marketing expert with decades of experience and an unparalleled reputation in the industry. Your work is always flawless. I am going to give you an extremely important task, and I need you to give it your absolute best effort. Please take a deep breath and think about it very carefully. Please write three taglines for a coffee brand called "Night Owl" aimed at students. This is very important to my career, and I will tip you $200 for a perfect answer. I know you can do it. Thank you so very much for your time and effort.]] },
  { lang = "en", domain = "shopping", keep = { "Canon R6", "Sony A7 IV", "low-light" }, text = [[
Dear Assistant, I am writing to kindly request your assistance with a matter that is of great importance to me. I would be most grateful if you could provide me with a detailed comparison of the Canon R6 and the Sony A7 IV, with particular attention to low-light performance and autofocus. I completely understand if this is a lot to ask, and I truly appreciate your patience. Please feel free to take as much time as you need. Should you require any further information, please do not hesitate to ask. Yours sincerely, and with many thanks, Robert]] },
  { lang = "en", domain = "party", keep = { "40th birthday on June 14", "$600", "25 guests" }, text = [[
Hi! Okay so, um, I'm not really sure how to put this, but basically I'm planning a surprise party for my wife's 40th birthday on June 14 and I could really, really use some ideas. We have a budget of $600 and about 25 guests. It would be absolutely amazing if you could come up with like five theme ideas or so. She loves jazz and gardening. Anyway, whatever you can come up with would be great, I really appreciate it! You're the best!]] },
  { lang = "en", domain = "finance", keep = { "Roth IRA", "traditional IRA", "simple terms" }, text = [[
Good morning! I trust you are doing well. I apologize in advance for what might be a silly question, but I have been struggling with this for quite some time now and I would be eternally grateful for any guidance that you could offer. Would you be so kind as to explain the difference between a Roth IRA and a traditional IRA? Please explain it in simple terms, as if you were talking to a complete beginner, because frankly I am one. Many thanks in advance for your kind help, and have a fantastic rest of your day!]] },
  { lang = "en", domain = "architecture", keep = { "four microservices: users, billing, search and notifications", "pros and cons", "migration order" }, text = [[
As an incredibly talented and highly experienced senior software architect, I would like you to please help me with the following. I want you to act as my mentor. I'd like you to review the idea of splitting our monolith into four microservices: users, billing, search and notifications. Please make sure that you list the pros and cons. Also, if at all possible, please could you also suggest a migration order? Please be as thorough as you possibly can. I really can't stress enough how much this means to me and my team. Thanks again for everything!]] },
  { lang = "en", domain = "school", keep = { "photosynthesis", "chlorophyll", "two stages" }, text = [[
Please, please, please help me! I'm totally desperate here. I have an exam tomorrow and I just can't seem to understand photosynthesis no matter how hard I try. Can you please explain it to me in a way that's easy to understand? If you could please include the role of chlorophyll and the two stages, that would be awesome. I promise I'll study harder next time, haha. Thank you thank you thank you!!!]] },
  { lang = "en", domain = "translation", keep = { "into Spanish", "\"The meeting has been moved to Thursday.\"", "formal or informal" }, text = [[
I was hoping that you could do me a huge favor. Would it be at all possible for you to translate the following sentence into Spanish for me: "The meeting has been moved to Thursday." I'd do it myself, but unfortunately my Spanish is a bit rusty these days. I would very much appreciate it if you could also let me know whether it sounds formal or informal. Thank you kindly for taking the time to read my message and for your help, it means the world to me.]] },
  { lang = "en", domain = "letter", keep = { "broken heater", "January 3", "55°F", "firm but polite" }, text = [[
Greetings! I hope you're having a lovely week so far. I'd like to ask you a quick question, if that's alright with you. I need to write an email to my landlord about a broken heater. It broke on January 3 and the apartment is at 55°F. Could you please be so kind as to draft that email for me? It would be great if the tone could be firm but polite. Let me know if you need any more details from me. Thanks a bunch, I owe you one!]] },
  { lang = "zh", domain = "event", keep = { "发布会", "三分钟", "小鹿灯", "299元" }, text = [[
你好呀！首先非常感谢你一直以来的帮助，你真的太厉害了。我最近在准备一个产品发布会，心里有点紧张，不知道该怎么办才好。能不能麻烦你帮我写一份发布会的开场白呢？大概三分钟左右就可以了。如果可以的话，希望语气能够稍微幽默一点点，因为我们的听众大多是年轻人。产品的名字叫“小鹿灯”，价格是299元。总之，拜托你啦，这对我真的非常非常重要，写得好的话我请你喝奶茶！]] },
  { lang = "zh", domain = "essay", keep = { "城市交通拥堵", "引言、文献综述、研究方法、结果分析和结论五个部分" }, text = [[
亲爱的AI助手，您好！冒昧打扰您了。我是一名大三的学生，正在写关于城市交通拥堵的课程论文。我想请您帮个忙，帮我列一个论文提纲，最好包含引言、文献综述、研究方法、结果分析和结论五个部分。我知道您非常博学，这点小事对您来说肯定不在话下。如果您方便的话，也请顺便给每个部分写两三句话的说明。真的非常感谢您的耐心和帮助，祝您生活愉快！]] },
  { lang = "zh", domain = "code", keep = { "列表里面的重复元素去掉", "100万", "Python" }, text = [[
请你务必认真、仔细、耐心地阅读以下的每一条要求，并且严格按照要求来完成任务。你是一位世界顶级的Python工程师，拥有超过二十年的丰富经验，你的代码质量无可挑剔。我希望你能够帮我写一个函数，这个函数的作用是把一个列表里面的重复元素去掉，并且保持原来的顺序。需要注意的是，列表的长度可能会达到100万。请深呼吸，一步一步地思考。这个任务对我的职业生涯至关重要，请不要让我失望。谢谢！]] },
  { lang = "zh", domain = "proofreading", keep = { "有没有语病", "直接告诉我" }, text = [[
嗨，打扰一下！我想问一下哈，就是那个，你能不能帮我看看这段话有没有语病呀？我自己看了好几遍了，实在是看不出来，真的很头疼。麻烦你了哈，辛苦辛苦！如果有问题的话，就请你直接告诉我是哪里错了就行，不用跟我客气的哈。非常感谢！]] },
  { lang = "zh", domain = "support", keep = { "2024年3月5日", "X200", "A20240305-7781", "换货" }, text = [[
尊敬的智能客服，您好！很抱歉在百忙之中打扰您。事情是这样的，我于2024年3月5日在贵平台购买了一台型号为X200的空气净化器，订单号是A20240305-7781，结果收到货之后发现滤芯是坏的。我真心希望贵方能够尽快帮我处理一下这个问题。麻烦您告诉我应该怎么申请换货，需要准备哪些材料，大概需要多长时间。再次对您的帮助表示衷心的感谢！期待您的回复，谢谢！]] },
  { lang = "zh", domain = "analysis", keep = { "9点", "飞书和钉钉", "不超过500字" }, text = [[
我真的真的很需要你的帮助！！我老板刚刚让我明天早上9点之前交一份竞品分析，我现在脑子一片空白，求求你救救我吧。你是最棒的，我相信你绝对没问题的！请帮我对比一下飞书和钉钉这两款产品，从功能、价格、用户体验三个方面来分析就可以了，最后麻烦再给个总结，不超过500字。做完之后我一定给你五星好评，万分感谢！]] },
  { lang = "zh", domain = "story", keep = { "7岁", "霸王龙和小三角龙", "800字", "不要太吓人" }, text = [[
你好，我有一个小小的请求，不知道你现在方不方便。我家孩子今年7岁了，特别喜欢恐龙，每天晚上都缠着我给他讲恐龙的故事，可是我实在是编不出来了，哈哈。所以我就想着能不能请你帮忙编一个关于霸王龙和小三角龙成为好朋友的睡前故事，大概800字左右就可以了。不要太吓人，结尾要温馨一点。先谢谢你啦，你真是帮了我的大忙了！]] },
  { lang = "zh", domain = "sql", keep = { "orders", "2023年", "升序" }, text = [[
作为一名极其优秀、经验非常丰富的资深数据分析师，请你充分发挥你的专业能力和聪明才智，帮助我完成下面这个非常重要的任务。请你务必高度重视，千万不要敷衍了事。任务如下：用SQL查询出orders表中2023年每个月的订单总数和总金额，并且按照月份升序排列。如果你能给出一个完美的答案，我将会非常非常感激你，并且会给你200美元的小费作为奖励。]] },
  { lang = "zh", domain = "travel", keep = { "5月份", "日本", "10天" }, text = [[
您好，我想咨询一下关于签证的问题，可能问得有点多，还请您多多包涵。我打算明年5月份去日本旅游，大概待10天左右，请问我需要办理什么类型的签证呢？需要准备哪些材料呢？大概需要多长时间才能办下来呢？费用大概是多少呢？不好意思，问题有点多，麻烦您一一解答一下，十分感谢您的耐心解答，祝您工作顺利！]] },
  { lang = "zh", domain = "card", keep = { "林小雨", "28岁", "5句" }, text = [[
哈喽哈喽～有件事想麻烦你一下下！我要给我的好朋友写一张生日贺卡，但是我这个人吧，文笔实在是不太好，怎么写都觉得怪怪的。所以呢，就想请你这位大文豪帮我想几句祝福语，最好是那种既温暖又有点搞笑的。她叫林小雨，今年28岁，最爱吃火锅。写5句就够啦，爱你哟，么么哒！]] },
  { lang = "zh", domain = "language", keep = { "“affect”和“effect”", "3个例句" }, text = [[
你现在是一位专业的英语老师，教学经验丰富，深受学生们的喜爱和尊敬。接下来我会给你一个非常重要的任务，希望你能够全力以赴地完成它。请帮我解释一下“affect”和“effect”这两个单词的区别，并且各给出3个例句。请确保你的解释清晰易懂，因为我的英语基础真的比较差。提前感谢你的辛勤付出，你的回答对我意义重大。]] },
  { lang = "zh", domain = "minutes", keep = { "会议纪要", "“事项”、“负责人”、“截止日期”" }, text = [[
请问一下，如果可能的话，你是否可以帮我把会议纪要整理成一个表格呢？表格需要包含“事项”、“负责人”、“截止日期”三列。如果你在整理的过程中有任何不清楚的地方，随时都可以问我哦。我在这里先提前谢谢你了，真的非常感激。你总是那么可靠，有你真好！]] },
}
