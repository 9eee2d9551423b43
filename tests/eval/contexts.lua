--- contexts: passages, and questions whose answers stand in them word for word.
--
-- Passages of one group are about like things, so that each is a distractor for the others,
-- as a retriever would bring them.  contexts() puts cases together: the passage that has the
-- answer somewhere among others, and the question.  Everything was made up for this
-- project; no hotel, device or town of these exists.

local M = {}

-- { group, language, text, { question, answer }, ... }
M.passages = {
  -- -- hotels ------------------------------------------------------------------
  { "hotels", "en", [[
Hotel Marenna: conditions of stay

Hotel Marenna has 62 rooms on three floors above the old harbour of Tresk. Most guests come for the sailing season, and the terrace is known for its view of the breakwater. Check-in is possible from 15:00, and rooms have to be free by 10:30 on the day of departure. Guests who arrive after 22:00 find their key in the night safe beside the garage; the code is sent by text message at noon. Breakfast is served between 06:45 and 10:00 in the winter garden, on Sundays until 11:00. A booking can be cancelled free of charge until 72 hours before arrival. Later cancellations cost 60 % of the first night, and those who do not come pay the whole first night. Dogs are welcome on the ground floor for 14 euros a night, but not in the breakfast room. The sauna is closed in July. Parking in the yard is limited to 11 cars, so a space should be reserved together with the room. The hotel accepts cards and bank transfer, but no cheques. Bicycles can be borrowed at the desk without a deposit.]],
    { "How long before arrival can a booking at Hotel Marenna be cancelled without paying?", "72 hours before arrival" },
    { "What does it cost to bring a dog to Hotel Marenna?", "14 euros a night" },
    { "Where do guests of Hotel Marenna who arrive late at night find their key?", "in the night safe beside the garage" },
    { "How many vehicles fit into the yard of the hotel above the old harbour?", "11 cars" } },
  { "hotels", "en", [[
Pension Kolbe: what our guests should know

Pension Kolbe is a family house with nine rooms at the edge of the forest near Wald-Ilgen. It was a forester's lodge until 1968, and the stove in the dining room is still heated with wood from our own trees. Rooms are ready from 14:00. On the last day we ask you to leave the room by 11:00. If you want to cancel, please do so at least seven days in advance; after that we charge half of the price of the stay. There is no lift in the house. Pets cannot be accommodated because of the owner's allergy. Breakfast comes with eggs from the neighbour and is included in the price; dinner is offered on Wednesdays and Saturdays for 23 euros per person. The nearest bus stop, Mill Bridge, is 900 metres away, and the last bus leaves at 19:12. Wireless internet works only in the dining room. Children under six stay in their parents' room free of charge. Firewood for the small chapel meadow may be taken from the shed behind the garden.]],
    { "On which days does Pension Kolbe offer dinner?", "on Wednesdays and Saturdays" },
    { "When does the last bus leave near Pension Kolbe?", "19:12" },
    { "Why are pets not allowed in Pension Kolbe?", "because of the owner's allergy" },
    { "Until when did foresters live in the house near Wald-Ilgen?", "until 1968" } },
  { "hotels", "en", [[
The Quay House, Orrin: information for guests

The Quay House stands where the ferry to the Outer Orrins used to land. The building was finished in 1911 as a customs office and has been a hotel since 1997. Reception is staffed from 07:00 to 21:00; outside these hours, please ring 4471 from the telephone in the porch. Check-in starts at 16:00. Late check-out until 13:00 can be arranged for 18 pounds. We allow cancellations up to 48 hours before arrival, unless the room was booked at the saver rate, which is never refunded. Two of the rooms, numbers 4 and 17, are suitable for wheelchairs. The restaurant is closed on Mondays. Its menu changes every week, except for the smoked haddock soup that has been on it since the opening. Guests may use the indoor pool of the school across the street between 17:00 and 19:00 on weekdays. Smoking is not permitted anywhere in the building, including the balconies. For groups of more than ten people a deposit of 30 % is due four weeks before the stay.]],
    { "Which rooms of the Quay House can be used with a wheelchair?", "numbers 4 and 17" },
    { "What does late check-out cost at the Quay House?", "18 pounds" },
    { "Which bookings at the Quay House are never refunded?", "the saver rate" },
    { "Is there anywhere that people staying in the former customs office can swim?", "the indoor pool of the school across the street" } },

  -- -- software ----------------------------------------------------------------
  { "software", "en", [[
Tarn Queue 4.2: retention and limits

Tarn Queue keeps messages in segments on disk. A segment is closed when it reaches 512 MiB or when it is two hours old, whichever happens first. By default, closed segments are deleted after five days; the setting `retention.days` changes that for a whole cluster, and `topic.retention` for one topic. Messages larger than 8 MiB are refused with the error TQ-413. A consumer that has not committed an offset for 36 hours is taken out of its group. The broker does not compress messages by itself; producers may use zstd or lz4, and consumers recognize both. Reading from a follower is possible since version 3.9, but only when the follower is at most 200 milliseconds behind. During a rolling upgrade, brokers of 4.1 and 4.2 can work together, while 4.0 must be updated first. Access is controlled by tokens, which are valid for 12 hours unless the administrator sets another time. The web console listens on port 9644. To rebuild an index, stop the broker, delete the files that end in .idx, and start it again; the data are not touched.]],
    { "After how long are closed segments deleted by default in Tarn Queue?", "after five days" },
    { "Which error does Tarn Queue give for messages that are too large?", "TQ-413" },
    { "On which port does the web console of Tarn Queue listen?", "port 9644" },
    { "How current must a follower be before one can read from it?", "at most 200 milliseconds behind" } },
  { "software", "en", [[
Pebble Store 2.0: administrator's notes

Pebble Store is a key-value database for settings and sessions. It holds everything in memory and writes a log that is replayed at the start. The log is synced to disk every 250 milliseconds, so that a power failure loses a quarter of a second at most; with `sync = always` nothing is lost, at the price of a third of the throughput. Keys may have 1,024 bytes and values 16 MiB. Expired keys are removed by a background task that looks at 20 keys at a time. Replication is asynchronous. A replica that falls behind by more than 64 MB is rebuilt from a snapshot. Snapshots are taken at 03:30 by default and are named after the day. The command `pebble-check --deep` reads the whole log and reports damaged records without changing them. Backups should be made from a replica and never from the primary. Connections are limited to 10,000; further clients wait in a queue for three seconds and are then turned away. The memory that a value needs is its size plus 56 bytes.]],
    { "How often does Pebble Store sync its log to disk?", "every 250 milliseconds" },
    { "At what time are snapshots of Pebble Store taken by default?", "at 03:30" },
    { "From where should backups of Pebble Store be made?", "from a replica and never from the primary" },
    { "What overhead in memory does one value have?", "56 bytes" } },
  { "software", "en", [[
Halyard Deploy: rolling out a release

Halyard Deploy copies a release to a list of machines and switches them over one after the other. A rollout begins with the canary machines, by default one in twenty. If their error rate stays below 0.4 % for ten minutes, the rest follows in waves of 15 %. A rollout is stopped automatically when two machines of the same wave fail their health check. Rolling back takes the release that was active before and does not ask for a confirmation. Old releases are kept until there are seven of them on a machine. Secrets are read from the vault at the start of a process and are never written to disk. Deployments on Fridays after 14:00 need the approval of a second person, unless they are marked as security fixes. The audit log is kept for 400 days. Machines that cannot be reached are skipped and listed in the report with the mark `unreached`. Since version 1.8, database migrations run before the canary phase and not after it. The lock that prevents two rollouts at the same time expires after 45 minutes.]],
    { "When does Halyard Deploy stop a rollout automatically?", "when two machines of the same wave fail their health check" },
    { "How long does Halyard Deploy keep the audit log?", "400 days" },
    { "When does the rollout lock of Halyard Deploy expire?", "after 45 minutes" },
    { "Who has to agree to deployments late on Fridays?", "the approval of a second person" } },

  -- -- incidents ------------------------------------------------------------------
  { "incidents", "en", [[
Incident review: checkout errors on 3 May

Between 09:42 and 10:57 one in six checkouts failed with status 502. The trigger was a certificate of the payment proxy that expired at 09:40. It had been renewed two weeks before, but the renewed file was never loaded, because the reload hook was removed together with the old init scripts. The first alarm was raised by customer support and not by monitoring; the synthetic checkout had been muted since a test in April. Lena Fogh found the cause at 10:31 by comparing the serial numbers of the certificates. A restart of the proxies in both regions ended the incident. About 3,900 orders were affected, of which 2,750 were placed again within the hour. No money was charged twice. As a consequence, certificates are now checked from outside every hour, and an alarm is raised 21 days before the end. Mutes of alarms expire after eight hours. The team also decided not to automate restarts, since the proxies keep open sessions of bank terminals.]],
    { "Who found the cause of the checkout errors on 3 May?", "Lena Fogh" },
    { "Why was the renewed certificate never loaded?", "because the reload hook was removed together with the old init scripts" },
    { "After how long do mutes of alarms expire now?", "after eight hours" } },
  { "incidents", "en", [[
Incident review: slow search on 17 September

From 13:05 until 15:20 searches took 4.8 seconds on average instead of 0.3. A new synonym list had been published at noon. It held a rule that mapped the word "light" to 212 other words, so that queries for lamps touched almost every document. The list had passed the review because the reviewers only saw the first 50 lines of the difference. Caches hid the effect for an hour. On-call engineer Pradip Sen suspected the storage first and moved two shards, which made matters worse for ten minutes. At 15:08 he compared the query plans and withdrew the list. Search recovered within twelve minutes. Sales during that time were 7 % lower than a week before. Synonym lists are now limited to 25 words per rule, and each list is tried against 2,000 recorded queries before it is published. The storage team asks that shards not be moved during an incident without its consent.]],
    { "How many words did the faulty rule map \"light\" to?", "212 other words" },
    { "What is the limit for synonym rules now?", "25 words per rule" },
    { "What did Pradip Sen suspect first?", "suspected the storage first" } },
  { "incidents", "en", [[
Incident review: missing invoices on 30 November

On 30 November the nightly run produced 11,204 invoices instead of about 18,600. The job did not fail: it ended with status zero after the database had closed the cursor for exceeding its limit of 30 minutes, and the reader took that for the end of the data. Accounting noticed on 2 December, when the total did not match the ledger. The missing invoices were produced on the same day and marked with the original date. Eleven customers received a reminder for an invoice that they had never seen; they got an apology and a credit of 5 euros. The reader now compares the number of rows with a count that is taken first, and the job ends with status 3 when they differ. The limit was raised to 90 minutes for this user only. An idea to split the run by region was rejected, because discounts are computed across regions. The owner of the follow-up tasks is Mireille Aubin.]],
    { "What was the limit that the database cursor exceeded?", "30 minutes" },
    { "Why was the idea to split the run by region rejected?", "because discounts are computed across regions" },
    { "Who owns the follow-up tasks for the missing invoices?", "Mireille Aubin" } },

  -- -- devices --------------------------------------------------------------------
  { "devices", "en", [[
Aerin 300 air purifier: care and faults

The Aerin 300 cleans the air of rooms up to 38 square metres. Place it at least 20 cm away from walls and never under a shelf. The coarse filter has to be vacuumed every two weeks. The main filter lasts for about eight months; the lamp F turns orange when 5 % of its life is left and red when it must be replaced. After replacing it, hold the moon key for six seconds. Do not wash the main filter. If the lamp A blinks twice, the fan is blocked; if it blinks four times, the sensor is dirty and should be wiped with a dry cotton bud. In the night mode the device makes 19 decibels, at full speed 54. The child lock is switched on and off by pressing both arrow keys. Power consumption is between 4 and 46 watts. The device must not be used in rooms with an open fireplace. Spare filters have the order number AR-318-H. The guarantee is three years, but it does not cover filters.]],
    { "What does it mean when lamp A of the Aerin 300 blinks four times?", "the sensor is dirty" },
    { "What is the order number of spare filters for the Aerin 300?", "AR-318-H" },
    { "How is the child lock of the Aerin 300 switched on?", "by pressing both arrow keys" },
    { "How loud is the air purifier at night?", "19 decibels" } },
  { "devices", "en", [[
Brumel B7 bread machine: questions and answers

The Brumel B7 bakes loaves of 500, 750 and 1,000 grams. The paddle is put in before the ingredients, and water always comes first. Yeast must not touch the salt. The start can be delayed by up to 13 hours, but not for recipes with milk or eggs. Programme 4 is for wholemeal bread and takes 3 hours and 40 minutes. Programme 9 only kneads. When the display shows H:01, the inside is still too hot, and the lid should stay open for 15 minutes. E:02 means that the temperature sensor is broken. The crust gets darker with the key Crust, in three steps. If the power fails for less than ten minutes, the programme goes on where it stopped. The pan must not go into the dishwasher, because its coating would come off. The viewing window can be taken out by turning it to the left. For high altitudes, use a quarter less yeast. A measuring spoon and a hook for the paddle come with the machine.]],
    { "What should be done when the display of the Brumel B7 shows H:01?", "the lid should stay open for 15 minutes" },
    { "By how much can the start of the Brumel B7 be delayed?", "up to 13 hours" },
    { "Why must the pan of the Brumel B7 not go into the dishwasher?", "because its coating would come off" } },
  { "devices", "en", [[
Lumo Trail headlamp: short manual

The Lumo Trail weighs 78 grams with its battery. It has three levels: 40, 160 and 450 lumens. At the highest level the battery lasts for two and a half hours, at the lowest for 55. Press and hold the button for one second to switch to red light, which does not disturb the eyes at night. The lamp is protected against rain, but must not be held under water. It is charged through the port under the rubber flap; a full charge takes 100 minutes. When three short flashes are seen, 10 % of the charge is left. At temperatures below -15 degrees the runtime drops by half. The headband can be washed at 30 degrees once the lamp has been taken off. To lock the button for transport, press it four times. The beam angle can be tilted in five steps. If the lamp does not react any more, hold the button for twelve seconds to restart it. The battery may be replaced by the user; its type is LT-21.]],
    { "How is the button of the Lumo Trail locked for transport?", "press it four times" },
    { "Which battery type does the Lumo Trail use?", "LT-21" },
    { "What happens to the runtime of the Lumo Trail below -15 degrees?", "the runtime drops by half" } },

  -- -- places -----------------------------------------------------------------------
  { "places", "en", [[
The salt museum of Vessen

The museum stands in the former boiling house of the salt works, which closed in 1936. Visitors walk through the hall with the iron pans, each eleven metres long, in which brine was boiled day and night. The brine came from a well 214 metres deep and was lifted by a wheel that donkeys turned until 1872, when a steam pump took over. A family of boilers received a sack of salt each month as part of its wages. The donkey wheel can be seen in motion every first Saturday of the month at 14:30. In the tower there is a collection of 640 salt cellars, given by the dentist Ottilie Bram in 1981. The oldest of them is a Venetian glass from 1590. The museum is open daily except Tuesdays. Entry costs 7 euros, and children under twelve pay nothing. The shop sells salt that is still boiled once a year, in the week after Easter. The best way to get there is the railway; the station is five minutes away on foot.]],
    { "Who gave the collection of salt cellars to the museum of Vessen?", "Ottilie Bram" },
    { "When can the donkey wheel of Vessen be seen in motion?", "every first Saturday of the month at 14:30" },
    { "On which day is the salt museum of Vessen closed?", "except Tuesdays" } },
  { "places", "en", [[
The lighthouse on Skarn Head

The lighthouse on Skarn Head was lit for the first time on 9 October 1864. It is 31 metres high and was built from grey granite that came by barge from the quarries of Lomness. Its first keeper, Eskil Thorn, lived there with his wife and seven children for 23 years. The light can be seen for 19 nautical miles; its signal is two flashes every 12 seconds. In the storm of 1902 the sea broke the window of the watch room, 18 metres above the water. The lamp burned colza oil, then paraffin, and has been electric since 1954. It was automated in 1983, and the last keeper left with a cat called Bosun. Today the keeper's house is a hostel with 14 beds, open from April to October. The path to it is under water for two hours before and after high tide. Seals can be watched from the eastern rocks, but must not be fed. The tower itself may be climbed on Sundays only.]],
    { "What is the signal of the lighthouse on Skarn Head?", "two flashes every 12 seconds" },
    { "Who was the first keeper of Skarn Head?", "Eskil Thorn" },
    { "When was the lighthouse on Skarn Head automated?", "1983" },
    { "What was the name of the animal that the last keeper took along?", "Bosun" } },

  -- -- Chinese: devices ---------------------------------------------------------------
  { "shebei", "zh", [[
青禾ZK-20净水器使用说明

青禾ZK-20净水器适合三到五口之家使用，每小时出水量为75升。安装位置要避开阳光直射，进水压力应在0.1到0.4兆帕之间，超过时必须加装减压阀。第一次使用前，请先放水15分钟，冲洗掉滤芯中的碳粉。前置滤芯每6个月更换一次，反渗透膜的寿命约为两年半。面板上的黄灯亮起表示滤芯剩余寿命不足一成，红灯亮起则必须更换，否则机器会停止制水。更换滤芯后，要同时按住复位键和冲洗键5秒。如果出现代码E3，说明储水桶压力不足；出现代码E5，说明漏水传感器报警，应立即关闭进水阀。机器不能接热水，水温不得高于38摄氏度。长期外出时应关闭电源和水源，回来后先冲洗10分钟再饮用。废水可以用来拖地，但不要浇花，因为含盐量较高。整机保修三年，滤芯不在保修范围内。]],
    { "青禾净水器出现代码E5是什么原因？", "漏水传感器报警" },
    { "青禾ZK-20的前置滤芯多久更换一次？", "每6个月更换一次" },
    { "净水器的废水为什么不能浇花？", "因为含盐量较高" },
    { "净水器出门很久以后回来怎么用？", "先冲洗10分钟再饮用" } },
  { "shebei", "zh", [[
云雀M5扫地机器人常见问题

云雀M5的电池容量为5200毫安时，充满电大约需要4个小时，一次可以清扫约120平方米。首次使用前，要让机器在充电座上完成一次完整的充电。尘盒应每周清洗，边刷每三个月更换，主刷缠上头发时用附带的小刀割断。如果机器报告“悬空”，通常是底部的防跌落传感器被灰尘遮住了，用干布擦净即可。连续两次回不到充电座时，请检查充电座前方1.5米内是否有障碍物。拖地模式下不会清扫地毯，因为超声波传感器会识别地毯并绕开。地图最多可以保存4张，换楼层时会自动识别。夜间23点到次日7点默认不会自动启动，也不会播报语音。要恢复出厂设置，请长按回充键12秒。水箱里不要加入清洁剂，以免腐蚀水泵。机器的工作噪声在标准模式下为61分贝。]],
    { "云雀M5怎样恢复出厂设置？", "长按回充键12秒" },
    { "云雀M5的地图最多可以保存几张？", "最多可以保存4张" },
    { "为什么水箱里不能加清洁剂？", "以免腐蚀水泵" },
    { "扫地机器人工作的时候有多大声？", "61分贝" } },
  { "shebei", "zh", [[
松涛H8电热水器维护手册

松涛H8电热水器的容量为60升，额定功率2100瓦。水箱内部采用搪瓷涂层，镁棒用来防止腐蚀，建议每18个月检查一次，直径小于10毫米时必须更换。每年应排污一次：先断电，再关闭进水阀，打开泄压阀，等水排净后重新注水。水温可以在35到75摄氏度之间调节，为了减少结垢，平时设在55度最合适。显示F1表示干烧，多半是水箱没有注满就通电了；显示F4表示出水温度传感器断路，需要联系维修人员。泄压阀偶尔滴水属于正常现象，不要堵住。机器必须可靠接地，插座的额定电流不得低于16安。冬季停用时要把水排空，以免冻裂。防电墙不能代替接地线。搬家后重新安装，需由持证人员操作，否则保修失效。夜间电价较低的地区，可以使用定时功能，在凌晨两点到五点之间加热。]],
    { "松涛H8的镁棒多久检查一次？", "每18个月检查一次" },
    { "松涛热水器显示F4是什么意思？", "出水温度传感器断路" },
    { "松涛H8平时水温设在多少最合适？", "平时设在55度最合适" } },

  -- -- Chinese: rules -------------------------------------------------------------------
  { "guize", "zh", [[
临川大学图书馆借阅规定

本科生一次最多可借15册，研究生20册，教师30册。借期为30天，可以续借一次，续借15天；已被他人预约的图书不能续借。逾期每册每天收取0.2元，累计不超过该书定价。遗失图书的，应赔偿同一版本的新书，买不到时按定价的三倍赔偿。古籍和工具书只限馆内阅览，不外借。预约的图书到馆后保留3天，过期取消。考试周期间，自习室开放到24点，平时到22点30分。研讨间需提前一天在网上预约，每次不超过3小时，使用人数不得少于3人。校友可以办理阅览证，但不能借书。馆内禁止占座，离座超过40分钟的，管理员可以清理物品。外文原版书集中在四楼西侧。寒暑假期间借出的图书，归还日期自动顺延到开学后第5天。]],
    { "临川大学研究生一次最多可以借几册书？", "研究生20册" },
    { "遗失的图书买不到时怎样赔偿？", "按定价的三倍赔偿" },
    { "预约的图书到馆后保留几天？", "保留3天" },
    { "毕业的校友能不能借书？", "校友可以办理阅览证，但不能借书" } },
  { "guize", "zh", [[
锦园小区装修管理办法

业主装修前须到物业办理登记，缴纳装修押金2000元，完工验收合格后30日内退还。施工时间为工作日上午8点30分到12点，下午14点到18点；周六只能进行无噪声作业，周日和法定节假日不得施工。承重墙、梁、柱严禁拆改，阳台不能改成厨房或卫生间。装修垃圾应装袋，放在3号楼北侧的临时堆放点，清运费每户350元。大件材料不得使用客梯，只能走货梯，使用货梯须提前一天预约。空调外机必须安装在预留位置。防水施工完成后，要做48小时闭水试验，由物业和楼下住户共同确认。违反规定的，物业有权责令停工，造成损失的由业主承担。装修人员凭出入证进出，每证收取工本费10元，不得在小区内留宿。施工期间，每天至少保持一名负责人在场。]],
    { "锦园小区的装修押金什么时候退还？", "完工验收合格后30日内退还" },
    { "锦园小区的闭水试验要做多长时间？", "48小时闭水试验" },
    { "装修垃圾应该放在哪里？", "3号楼北侧的临时堆放点" },
    { "周六可以进行什么样的施工？", "周六只能进行无噪声作业" } },
  { "guize", "zh", [[
远帆公司差旅报销制度

员工出差须提前在系统中提交申请，未经批准的差旅费用原则上不予报销。住宿标准为：一线城市每晚不超过550元，其他城市每晚不超过380元，超出部分由个人承担，除非部门负责人事先书面同意。高铁可以乘坐二等座，行程超过6小时的可以乘坐一等座。飞机只报销经济舱，且应提前5天预订。市内交通凭票报销，网约车仅限公共交通停运之后或携带设备时使用。伙食补助为每天90元，由对方提供用餐的不再发放。报销单应在返回后10个工作日内提交，逾期的须由财务总监审批。发票抬头必须是公司全称，遗失发票不能用收据代替。境外出差的补助另按附件二执行。同行人员共用一间房的，每人每晚另补60元。预借的差旅款超过两个月未核销的，从工资中扣回。]],
    { "远帆公司的报销单应该在什么时候提交？", "返回后10个工作日内" },
    { "远帆公司差旅的伙食补助是多少？", "每天90元" },
    { "什么情况下可以乘坐高铁一等座？", "行程超过6小时" } },

  -- -- Chinese: places ---------------------------------------------------------------------
  { "difang", "zh", [[
白石渡古镇

白石渡位于青澜江的中游，因江边一块两丈多高的白色巨石得名。镇子始建于南宋，明代成为茶叶和桐油的集散地，最盛时有商号三百多家。镇中心的同福桥建于1573年，是一座五孔石拱桥，桥面由427块青石板铺成。1931年的大水冲毁了两个桥孔，第二年由商人陆怀舟出资修复。古镇的油坊街保存着七座老榨坊，其中只有“义和”一家仍在开工，每年霜降以后开榨。镇上的米酒用江心沙洲上的红糯米酿造，度数不高，但后劲很大。古镇不收门票，但进入陆家大院需要购票，票价35元。每逢农历三月十八有龙船下水的仪式，比端午还要热闹。从县城坐12路公交车约50分钟可以到达，末班车是17点40分。镇上没有大型停车场，自驾的游客应把车停在江对岸的游客中心，再坐渡船过江。]],
    { "白石渡的同福桥是哪一年修建的？", "建于1573年" },
    { "谁出资修复了被大水冲毁的桥孔？", "陆怀舟" },
    { "从县城到白石渡的末班车是几点？", "17点40分" } },
  { "difang", "zh", [[
鹤鸣山天文台

鹤鸣山天文台建在海拔3214米的山顶，周围三十公里内没有城镇，是国内夜空最暗的观测点之一。台内最大的望远镜口径为2.4米，1998年投入使用，主要用来搜寻近地小行星。到去年年底，这里一共发现了1876颗小行星，其中一颗以建台工程师顾明远的名字命名。由于大气稀薄，第一次上山的人要在半山腰的驻地休息一夜。公众开放日是每月的最后一个星期六，每次限120人，须提前两周预约。参观时不得使用闪光灯，也不能打开手机的手电筒。冬季的十二月到二月道路结冰，不对外开放。台里的图书室收藏着一批民国时期的观测记录，最早的一本写于1934年。雨季的七月和八月云量多，望远镜在这段时间做镀膜和检修。天文台的食堂用高压锅煮饭，因为山上水的沸点只有89度。]],
    { "鹤鸣山天文台的公众开放日是哪一天？", "每月的最后一个星期六" },
    { "鹤鸣山最大的望远镜口径是多少？", "口径为2.4米" },
    { "望远镜在什么时候检修？", "雨季的七月和八月" },
    { "山上的水烧到多少度就沸腾了？", "只有89度" } },
  { "difang", "zh", [[
南浔河湿地公园

南浔河湿地公园面积约为860公顷，2011年建成开放，原来是一片废弃的鱼塘。园内记录到鸟类238种，其中最受关注的是每年11月飞来越冬的东方白鹳。观鸟屋共有6座，以三号屋的视野最好，但早上逆光，适合下午去。为了不惊扰鸟类，园内禁止放风筝和使用无人机，宠物也不能入园。公园的入口有两个，北门可以停车，南门靠近地铁9号线芦荡站。门票20元，满65岁的老人免费，学生半价。环湖步道全长7.3公里，走一圈大约两个半小时，中途只有两处可以买水。每年的3月到5月，木栈道的东段封闭，给水鸟留出繁殖的地方。园内的科普馆周一闭馆。租用望远镜每小时15元，押金300元。夏季多蚊虫，管理处建议穿长袖，但不要喷洒气味浓的驱蚊水。]],
    { "南浔河湿地公园哪座观鸟屋视野最好？", "三号屋的视野最好" },
    { "木栈道东段什么时候封闭？", "每年的3月到5月" },
    { "租用望远镜的押金是多少？", "押金300元" },
    { "可以带宠物狗进湿地公园吗？", "宠物也不能入园" } },

  -- -- Chinese: incidents ---------------------------------------------------------------------
  { "guzhang", "zh", [[
订单服务故障复盘（4月12日）

4月12日20点05分到21点18分，约有两成的下单请求超时。直接原因是库存服务的连接池被占满，而根本原因是前一天上线的促销规则在循环中逐条查询数据库，一次请求最多产生了140次查询。压测没有发现问题，因为测试环境的促销规则只有3条，线上有97条。20点31分，值班的周以宁先扩容了应用，情况没有好转；21点02分，韩素发现慢查询集中在同一张表，随即关闭了促销规则的开关，21点18分恢复。受影响的订单约5400笔，其中没有重复扣款。改进措施有三项：促销规则改为批量查询；连接池使用率超过八成时报警；新功能必须带有可以单独关闭的开关。会上否决了把库存服务改成异步的提议，因为用户需要立刻知道是否有货。后续工作由许知远负责，截止日期是5月20日。]],
    { "订单服务故障的根本原因是什么？", "促销规则在循环中逐条查询数据库" },
    { "谁发现慢查询集中在同一张表？", "韩素" },
    { "为什么否决了把库存服务改成异步的提议？", "因为用户需要立刻知道是否有货" } },
  { "guzhang", "zh", [[
消息推送延迟复盘（8月3日）

8月3日上午，部分用户收到推送的时间比预期晚了40分钟以上。监控显示队列积压最高达到620万条。原因是凌晨的机房切换之后，有一半的消费者没有重新连接到新的主节点，它们的重试间隔会不断翻倍，最后一次等待长达64分钟。切换手册里写了重启消费者的步骤，但放在附录里，执行人没有看到。9点47分，运维工程师唐果手动重启了消费者，积压在11点20分清空。这次事故没有丢失消息，但有1.3万个用户在深夜收到了本该上午推送的内容。改进措施：重试间隔的上限改为30秒；切换手册的步骤改成逐项勾选；过期两小时以上的营销消息直接丢弃，验证码和账单除外。是否把推送迁移到新的消息系统，留待第四季度再讨论。]],
    { "推送延迟时队列积压最高达到多少？", "620万条" },
    { "重试间隔的上限改为多少？", "重试间隔的上限改为30秒" },
    { "哪些过期的消息不会被丢弃？", "验证码和账单除外" } },
  { "guzhang", "zh", [[
报表数据错误复盘（10月21日）

10月21日的经营日报显示退货率为11.6%，实际应为4.9%。问题出在时区：数据仓库升级以后，默认时区从东八区变成了协调世界时，而退货表仍按本地时间写入，于是一部分退货被重复计入了两天。财务部的郑晓彤在核对金额时发现了异常，并在当天15点通知了数据组。数据组用了3个小时重新计算了最近9天的报表，并在页面上加了更正说明。没有对外发布的数据受到影响。改进措施包括：所有表的时间字段必须写明时区；升级前后要对20张核心报表逐一对比；日报的关键指标波动超过三成时先暂停发布，由人确认。讨论中有人建议取消日报，改看实时看板，但没有通过。数据仓库的升级不回退，因为旧版本的支持到12月就结束了。]],
    { "报表数据错误是谁发现的？", "郑晓彤" },
    { "为什么数据仓库的升级不回退？", "因为旧版本的支持到12月就结束了" },
    { "实际的退货率应该是多少？", "实际应为4.9%" } },
}

-- A generator that is the same everywhere.
function M.random(seed)
  local state = seed * 2654435761 % 2 ^ 32
  return function(n)
    state = (state * 1664525 + 1013904223) % 2 ^ 32
    return math.floor(state / 2 ^ 32 * n) + 1
  end
end

-- Passages for a case: the one with the answer among `count` others, like ones first.
local function gather(index, count, random)
  local own, like, other = M.passages[index], {}, {}
  for i, p in ipairs(M.passages) do
    if i ~= index and p[2] == own[2] then table.insert(p[1] == own[1] and like or other, p[3]) end
  end
  for i = #other, 2, -1 do
    local j = random(i)
    other[i], other[j] = other[j], other[i]
  end
  local out = {}
  for _, text in ipairs(like) do out[#out + 1] = text end
  for _, text in ipairs(other) do out[#out + 1] = text end
  while #out > count do out[#out] = nil end
  table.insert(out, random(#out + 1), own[3])
  return out
end

---@class perilune.EvalContext
---@field id string
---@field lang string
---@field text string
---@field question string
---@field answer string

--- All cases, always the same; documents of 2 to 20 KB.
---@return perilune.EvalContext[]
function M.contexts()
  local out = {}
  for index, passage in ipairs(M.passages) do
    for q = 4, #passage do
      local random = M.random(index * 100 + q)
      local parts = gather(index, 1 + random(12), random)
      out[#out + 1] = {
        id = ("%s-%d-%d"):format(passage[1], index, q - 3), lang = passage[2],
        text = table.concat(parts, "\n\n"), question = passage[q][1], answer = passage[q][2],
      }
    end
  end
  return out
end

return M
