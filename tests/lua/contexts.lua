--- contexts: paragraphs on invented things, and questions whose answers stand in them word for word.
--
-- What retrieval puts into a prompt has this shape: some passages, one of which answers.
-- `ask` holds question, answer pairs; the words of a question are not always those of the
-- sentence that answers it, and some answers stand behind a pronoun.

return {
  {
    lang = "en",
    text = [[
The Harrow Point lighthouse stands on a basalt spit at the mouth of the Veldt estuary. It was designed by the engineer Ada Marsh and first lit on 14 March 1871. The tower is 38 metres tall, painted in red and white bands so that captains can recognize it by day. Its original lamp burned whale oil, which was replaced by kerosene within a decade. In 1926 the station was electrified, and the keeper's cottage became a small museum. The lens, made in Paris by the Barbier workshop, has 412 prisms. During the great storm of 1953 waves broke over the gallery, but the lamp never went out. Automation came in 1989, when the last keeper, Tomas Riedl, moved to the mainland. Today the light can be seen from 23 nautical miles. Visitors may climb the 201 steps on weekends, except in January.]],
    ask = {
      { "Who designed the Harrow Point lighthouse?", "Ada Marsh" },
      { "How tall is the tower of the lighthouse?", "38 metres" },
      { "When was the lighthouse electrified?", "1926" },
      { "How many prisms does the lens have?", "412 prisms" },
      { "Who was the last keeper before automation?", "Tomas Riedl" },
      { "From how far away can the light be seen?", "23 nautical miles" },
    },
  },
  {
    lang = "en",
    text = [[
Service accounts in the Orbit platform authenticate with short-lived tokens. A token is valid for 15 minutes and cannot be renewed; clients must request a new one. The token endpoint is limited to 60 requests per minute for each account. If the limit is exceeded, the server answers with status 429 and a Retry-After header. Accounts without activity for 90 days are disabled automatically. They can be enabled again by an administrator with the command `orbit account enable`. Audit records are kept for 400 days in the region where they were written. They are never copied to another region, unless the customer has signed the transfer addendum. Passwords are hashed with argon2id using 64 MiB of memory. Support for SAML was removed in version 7.2. The default session cookie is named orbit_sid.]],
    ask = {
      { "How long is a token valid on the Orbit platform?", "15 minutes" },
      { "What is the rate limit of the token endpoint?", "60 requests per minute" },
      { "After how many days without activity are accounts disabled?", "90 days" },
      { "Which command enables a disabled account?", "orbit account enable" },
      { "For how long are audit records kept?", "400 days" },
      { "When may audit records be copied to another region?", "signed the transfer addendum" },
      { "Which version removed SAML?", "7.2" },
    },
  },
  {
    lang = "en",
    text = [[
The Lumen river otter is the smallest otter of the northern lakes. Adults weigh between 2.1 and 3.4 kilograms, and males are slightly larger than females. They feed mostly on crayfish and, in winter, on frogs that sleep in the mud. Unlike its relatives, the species does not build dens but uses those of muskrats. The young are born in April after a gestation of 61 days. A litter has two to four pups, which open their eyes after five weeks. The population fell to fewer than 300 animals in 1978 because of mercury in the water. Protection began in 1981, and a count in 2019 found about 4,200. The main threat today is the traffic on shore roads. Biologists follow the animals with transmitters glued to the fur, because collars slip off.]],
    ask = {
      { "What do Lumen river otters eat?", "crayfish" },
      { "How long is the gestation of the otter?", "61 days" },
      { "How many otters were counted in 2019?", "4,200" },
      { "Why did the population fall in 1978?", "mercury in the water" },
      { "What threatens the otters today?", "traffic on shore roads" },
      { "Does the species build its own dens?", "does not build dens" },
    },
  },
  {
    lang = "en",
    text = [[
Quarterly results of Brackwater Mills were published on Tuesday. Revenue rose by 8.4 percent to 512 million dollars, helped by orders from bakeries. Operating profit, however, fell to 41 million dollars. The company blamed the price of energy, which doubled in the second quarter. Chief executive Lena Okafor said that the plant in Dunmore would close in November. About 230 workers are affected. The board proposed a dividend of 1.15 dollars per share. It did not rule out the sale of the frozen dough division. Analysts at Pell & Crane lowered their target to 62 dollars. For the full year Brackwater expects sales of 2.1 billion dollars, unless the strike at the port continues. The shares lost 5 percent.]],
    ask = {
      { "How high was the revenue of Brackwater Mills?", "512 million dollars" },
      { "Why did the operating profit of Brackwater fall?", "price of energy" },
      { "Who is the chief executive of Brackwater?", "Lena Okafor" },
      { "How many workers are affected by the closing of the Dunmore plant?", "230 workers" },
      { "What dividend did the board propose?", "1.15 dollars" },
      { "What sales does Brackwater expect for the full year?", "2.1 billion dollars" },
    },
  },
  {
    lang = "en",
    text = [[
To descale the Presto 9 coffee machine, first empty the water tank and remove the filter. Fill the tank with 500 ml of water and one sachet of descaler. Never use vinegar, because it damages the seals. Press the steam button for five seconds until the orange lamp blinks. The programme takes 22 minutes and must not be interrupted. When the lamp turns green, rinse the tank and run two cycles of clean water. Descaling is due every 250 cups, or every 100 cups if the water is hard. The hardness can be set in the menu under Water. If error E14 appears, the pump has drawn air. In that case open the steam valve until water flows without bubbles. The guarantee of 36 months does not cover damage by lime.]],
    ask = {
      { "How long does the descaling programme take?", "22 minutes" },
      { "Why must vinegar not be used in the coffee machine?", "damages the seals" },
      { "How often is descaling due when water is hard?", "every 100 cups" },
      { "What does error E14 mean?", "pump has drawn air" },
      { "How long is the guarantee?", "36 months" },
      { "How much water goes into the tank for descaling?", "500 ml" },
    },
  },
  {
    lang = "zh",
    text = [[
青杉水库位于岭北县东南部，距县城四十二公里。水库由工程师沈若川主持设计，1958年开工，1963年建成蓄水。大坝为混凝土重力坝，最大坝高76米，坝顶长318米。总库容为4.6亿立方米，其中防洪库容1.2亿立方米。电站装有三台机组，年均发电量2.3亿千瓦时。2004年，水库进行了除险加固，更换了全部闸门。库区禁止网箱养鱼，也不得使用含磷洗涤剂。每年六月至九月为汛期，水位不得超过172.5米。2016年7月的洪水中，入库流量达到每秒5300立方米，创下历史纪录。如今水库还承担着下游三个县约六十万人的饮水供应。周边的环湖步道全长27公里，每周一闭园维护。]],
    ask = {
      { "青杉水库是谁设计的？", "沈若川" },
      { "大坝最高有多少米？", "76米" },
      { "水库的总库容是多少？", "4.6亿立方米" },
      { "汛期水位的上限是多少？", "172.5米" },
      { "水库什么时候进行了除险加固？", "2004年" },
      { "环湖步道有多长？", "27公里" },
      { "库区对养鱼有什么规定？", "禁止网箱养鱼" },
    },
  },
  {
    lang = "zh",
    text = [[
云笺笔记的同步服务采用增量上传。单个附件的大小上限为200MB，免费用户每月的上传流量为1GB。付费用户没有流量限制，但是同时在线的设备不能超过8台。笔记在本地使用AES-256加密，密钥从不离开用户的设备。如果忘记主密码，客服也无法恢复数据，除非事先导出过恢复码。恢复码由24个汉字组成，只能使用一次。历史版本默认保留30天，专业版可以保留365天。导出支持Markdown和PDF两种格式，暂不支持Word。从3.8版本起，移动端不再支持安卓7及以下系统。共享笔记本最多可以邀请50名成员，其中只有创建者可以删除笔记本。服务器日志每90天清理一次。]],
    ask = {
      { "单个附件最大可以多大？", "200MB" },
      { "免费用户每月有多少上传流量？", "1GB" },
      { "忘记主密码以后怎样才能恢复数据？", "恢复码" },
      { "专业版的历史版本保留多久？", "365天" },
      { "从哪个版本起不再支持安卓7？", "3.8版本" },
      { "共享笔记本最多邀请多少成员？", "50名成员" },
      { "谁可以删除共享笔记本？", "只有创建者可以删除" },
    },
  },
  {
    lang = "zh",
    text = [[
临溪古镇的酱园始创于清道光二十三年。创始人顾守谦原是盐商，后来改行酿造酱油。酱园至今仍用日晒法，一缸酱油要晒足三百六十天。黄豆来自东北，小麦则只用本地的红皮麦。制曲的温度保持在三十五度左右，超过四十度就会产生苦味。文革期间酱园被迫停产，直到1979年才恢复。第五代传人顾明漪在2011年获得省级非遗传承人称号。她带的徒弟目前有九人，其中四人是女性。酱园每天接待游客不超过300人，需要提前三天预约。门票为25元，学生半价，六十岁以上老人免费。酱园的后院保存着四口道光年间的老缸，不对外开放。]],
    ask = {
      { "酱园的创始人是谁？", "顾守谦" },
      { "一缸酱油要晒多少天？", "三百六十天" },
      { "制曲温度过高会怎么样？", "产生苦味" },
      { "酱园哪一年恢复生产？", "1979年" },
      { "门票多少钱？", "25元" },
      { "参观需要提前多久预约？", "提前三天预约" },
      { "第五代传人是谁？", "顾明漪" },
    },
  },
  {
    lang = "zh",
    text = [[
根据《员工差旅管理办法》，出差须提前两个工作日在系统中提交申请。国内机票原则上购买经济舱，飞行时间超过六小时的可以购买公务舱。一线城市的住宿标准为每晚650元，其他城市为每晚450元。超出标准的部分由个人承担，除非部门总监书面批准。餐补按每天120元发放，不需要提供发票。市内交通凭票据实报销，但是网约车专车除外。报销单应在返回后十五日内提交，逾期不予受理。财务部在收到完整单据后五个工作日内付款。借款余额未结清的员工不得申请新的借款。海外出差的标准另见附件三。本办法自2023年4月1日起施行，由财务部负责解释。]],
    ask = {
      { "一线城市的住宿标准是多少？", "每晚650元" },
      { "什么情况下可以购买公务舱？", "超过六小时" },
      { "报销单应在多少天内提交？", "十五日内" },
      { "餐补每天多少钱？", "120元" },
      { "超出住宿标准的部分由谁承担？", "由个人承担" },
      { "差旅管理办法从什么时候开始施行？", "2023年4月1日" },
      { "财务部多久付款？", "五个工作日" },
    },
  },
  {
    lang = "zh",
    text = [[
蓝鳍石斑鱼是一种生活在珊瑚礁深处的大型鱼类。成鱼体长可达1.8米，体重超过120公斤。它们出生时都是雌性，大约到第九年才转变为雄性。这种鱼生长缓慢，寿命可以超过四十年。主要食物是章鱼和螃蟹，偶尔也吃小型鲨鱼。由于过度捕捞，其数量在三十年间减少了七成。2015年，它被列入濒危物种红色名录。目前有十一个国家禁止商业捕捞。人工繁殖直到2020年才在海南首次取得成功。研究人员发现，幼鱼对水温极其敏感，低于二十四度就会停止进食。当地渔民称它为“龙趸王”。]],
    ask = {
      { "蓝鳍石斑鱼成鱼有多长？", "1.8米" },
      { "石斑鱼大约第几年转变为雄性？", "第九年" },
      { "石斑鱼主要吃什么？", "章鱼和螃蟹" },
      { "有多少个国家禁止商业捕捞？", "十一个国家" },
      { "人工繁殖什么时候首次成功？", "2020年" },
      { "水温低于多少度幼鱼停止进食？", "二十四度" },
    },
  },
}
