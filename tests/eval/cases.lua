--- cases: three measurements that guides to faster LLM applications show, with texts of our own.
--
-- 1. A prompt full of courtesy and appeals, and what is left of it.
-- 2. A conversation of many topics, then a question about one of them.
-- 3. What eleven rounds of context cost, with and without a policy.

local contexts = require "contexts"

local M = {}

M.prompt = [[
## 角色
你是一个非常优秀的活动策划文案助手，你拥有丰富的经验，你才华横溢，你的能力出众。

## 要求
请你先耐心阅读我的要求，认真思考，慢慢来。
- 希望你能围绕“周末去山里”这个主题来写，这是海报的标题。
- 请你一定要写清楚活动的时间，比如从几月几号到几月几号。
- 麻烦你写清楚这次推荐的三条路线，包括溪谷徒步、星空露营、果园采摘。
- 我希望你能用轻松、亲切、有画面感的语言来写。
- 希望你可以让家长看了以后马上就想报名，拜托了。
- 麻烦你注意语气要积极，能让人感到放松，谢谢。
- 请你注意字数，控制在180字以内，这样才方便发到社群、公众号和短视频里。

## 注意
- 这个海报文案对我来说非常重要，因为这关系到我们整个团队的业绩。
- 拜托你了！我们全公司都指望你了！我相信你一定能完美完成！谢谢啦！
- 你真的太棒了！期待你的好消息！

## 工作目标
请你按照要求帮我写一份海报文案，请给我一个让人满意的作品，非常感谢！辛苦你了！
]]

-- Questions and answers of a household's assistant; the last question is about the fourth.
M.talk = {
  { "蜂蜜为什么会结晶？", "蜂蜜结晶是葡萄糖从过饱和溶液中析出的自然现象，并不说明蜂蜜掺了糖。结晶的快慢取决于葡萄糖和果糖的比例：油菜蜜几周就会变成乳白色的膏状，而洋槐蜜放两年也可能还是液体。温度在13到14摄氏度时结晶最快，所以放进冰箱反而容易变硬。想恢复成液体，可以把瓶子放在不超过45度的温水里慢慢化开，温度太高会破坏酶和香气。这就像把一块冰慢慢捂化，急不得。" },
  { "结晶的蜂蜜加热到60度会怎么样？", "加热到60度，蜂蜜会很快化开，但淀粉酶的活性在半小时内大约会损失一半，羟甲基糠醛的含量也会上升，颜色变深，香味变淡。国际上通常把羟甲基糠醛的上限定为每千克40毫克，长时间高温加热的蜂蜜容易超标。工厂里用的是快速升温再快速冷却的办法，家里很难做到。因此还是用温水更稳妥。" },
  { "用比喻解释一下酵母是怎么让面团发起来的。", "可以把面团想象成一座由面筋搭起来的公寓楼，酵母就是住进去的房客。房客吃的是糖，呼出的是二氧化碳，气体被面筋的墙壁关在一个个小房间里，房间越撑越大，楼就长高了。温度在28度左右时房客胃口最好，低于4度时几乎不吃东西，超过55度就会死去。盐放多了会让房客口渴，所以盐不要直接和酵母放在一起。这与肺泡吸气时鼓起来的样子很像。" },
  { "被蜜蜂蜇了应该怎么处理？", "先离开蜂群所在的地方，再处理伤口：用卡片的边缘把毒刺刮出来，不要用手指去捏，以免把毒囊里的毒液挤进皮肤。然后用肥皂水清洗，冷敷10到15分钟，可以减轻肿胀和疼痛。蜜蜂的毒液偏酸性，黄蜂的偏碱性，但民间涂小苏打或醋的办法并没有可靠的证据。如果出现呼吸困难、嘴唇肿胀、头晕或全身起疹子，要立即拨打急救电话。被蜇超过20处的，即使没有症状也应当就医。" },
  { "羊毛衫缩水了还能恢复吗？", "轻微缩水的羊毛衫有机会恢复一部分。在一盆30度左右的温水里加两勺护发素，把衣服泡20分钟，让纤维放松，再用毛巾吸掉水分，平铺在干毛巾上，按照原来的尺寸慢慢拉伸，并用重物压住四角阴干。如果已经毡化，也就是表面变得厚实、看不清针脚，就很难恢复了。以后清洗时应当用冷水和中性洗涤剂，不要揉搓，也不要放进烘干机。" },
  { "露营时怎样判断会不会下雨？", "可以看云、看风、看动物。早上有火烧云，或者天上出现像鱼鳞一样的高积云，一两天内多半会下雨；风向突然转变、气压明显下降，也是征兆；燕子低飞、蚂蚁搬家，是因为空气湿度变大。山里的天气变化很快，午后容易出现雷阵雨，所以营地不要选在河滩和山谷的底部，至少要比水面高出5米。最可靠的还是出发前查看当地的预报，并且约定好撤退的时间。" },
  { "自行车链条多久上一次油？", "一般骑行150到200公里，或者淋过雨以后，就应该清洁并上油。先用刷子和清洁剂把旧油和泥沙刷掉，擦干，再在每一节滚子的内侧滴一滴油，转动踏板让油渗进去，等10分钟后把表面多余的油擦掉，否则会粘灰。干燥地区用干性油，多雨地区用湿性油。链条拉长超过0.75%时就应该更换，不然会磨坏飞轮和牙盘。" },
  { "买显示器，IPS和VA面板怎么选？", "IPS面板的可视角度大、色彩准，适合修图和多人一起看，缺点是暗部偏灰，容易漏光。VA面板的对比度高，一般在3000比1左右，看电影时黑色更深，但响应较慢，快速移动的画面会有拖影，从侧面看会发白。办公和设计选IPS；在暗处看片选VA；打竞技类游戏优先看刷新率，不要低于144赫兹。预算有限的话，同样的价格VA通常能买到更大的尺寸。" },
  { "阳台种薄荷要注意什么？", "薄荷喜欢水和半日照，土表面一干就要浇，但盆底不能积水。每天有4个小时左右的光照就够了，盛夏的中午要遮阴。它的根会四处蔓延，最好单独种在一个直径20厘米以上的盆里，不要和别的香草混种。长到15厘米高时打顶，可以促进分枝，开花前采收香味最浓。每年春天换一次土。叶子上如果有白色的小点，多半是红蜘蛛，用清水冲洗叶背即可。" },
}

M.last_question = "你前面说过，被蜜蜂蜇了以后要冷敷，应该冷敷多少分钟？"
M.last_answer = "冷敷10到15分钟"

--- The conversation of the second case.
function M.history()
  local messages = { { role = "system", content = "你是一个智能问答助手。" } }
  for _, turn in ipairs(M.talk) do
    messages[#messages + 1] = { role = "user", content = turn[1] }
    messages[#messages + 1] = { role = "assistant", content = turn[2] }
  end
  messages[#messages + 1] = { role = "user", content = M.last_question }
  return messages
end

--- The conversation of the third case after so many rounds: in each a question and an
--- answer of some five hundred tokens; then "Hello world!".
---@param rounds integer
function M.rounds(rounds)
  local zh, messages = {}, {}
  for _, p in ipairs(contexts.passages) do
    if p[2] == "zh" then zh[#zh + 1] = p[3] end
  end
  for i = 1, rounds do
    local text = zh[(i - 1) % #zh + 1]
    messages[#messages + 1] = { role = "user", content = "请详细介绍：" .. text:match("^[^\n]+") }
    messages[#messages + 1] = { role = "assistant", content = text .. "\n\n" .. M.talk[(i - 1) % #M.talk + 1][2] }
  end
  messages[#messages + 1] = { role = "user", content = "Hello world !" }
  return messages
end

return M
