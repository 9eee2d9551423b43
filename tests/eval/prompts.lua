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
}
