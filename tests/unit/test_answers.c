/* test_answers.c -- do two answers say the same? */
#include "semantic/answers.h"

#include <stdio.h>
#include <string.h>

#include "semantic/embedding.h"
#include "unit.h"

struct pair {
    bool        same; /* what a model says when it is asked again; else: what it says to another question */
    const char *a, *b;
};

/* The bounds were chosen on these, */
static const struct pair chosen[] = {
    { true, "To reset your password, open Settings, choose Security and click Reset password. You will get an e-mail with a link.",
            "Go to Settings > Security and select \"Reset password\". We then send a link to your e-mail address, which lets you set a new one." },
    { true, "The capital of France is Paris.", "Paris." },
    { true, "Paris is the capital of France.", "The capital city of France is Paris, which lies on the Seine." },
    { true, "Refunds are possible within 30 days of purchase. Please keep your receipt.",
            "You can return an item and get your money back up to 30 days after you bought it, as long as you have the receipt." },
    { true, "Use a virtual environment: python3 -m venv .venv, then source .venv/bin/activate.",
            "Create one with `python3 -m venv .venv` and activate it with `source .venv/bin/activate`. After that, pip installs into it." },
    { true, "1. Unplug the router.\n2. Wait ten seconds.\n3. Plug it in again.",
            "Disconnect the router from power, wait about ten seconds, and connect it again." },
    { true, "Photosynthesis is the process by which plants turn light, water and carbon dioxide into sugar and oxygen.",
            "Plants use photosynthesis to make sugar from carbon dioxide and water with the energy of light; oxygen is released." },
    { true, "Yes, you can cancel your subscription at any time in your account settings.",
            "Yes. Open your account, choose Subscription and then Cancel; it ends with the current billing period." },
    { true, "SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1;",
            "You can group by the name and keep groups with more than one row:\n\n```sql\nSELECT name, COUNT(*) AS n\nFROM users\nGROUP BY name\nHAVING COUNT(*) > 1;\n```" },
    { true, "Mars has two moons, Phobos and Deimos.", "There are two: Phobos and Deimos." },
    { true, "A mutex lets one thread at a time enter a critical section; a semaphore counts and lets several in.",
            "The main difference is that a mutex is owned by a single thread, whereas a semaphore is a counter that allows a number of threads to access the resource at once." },
    { true, "您可以在“设置”里点击“安全”，然后选择“重置密码”。", "打开设置页面，进入安全选项，点击重置密码即可，系统会发送邮件给您。" },
    { true, "退款需要在购买后30天内申请。", "您可以在购买之日起30天以内申请退款，请保留收据。" },
    { true, "Our office is open Monday to Friday from 9:00 to 17:00.", "We are open on weekdays, 9:00 to 17:00." },
    { true, "Boil the eggs for 7 minutes for soft yolks, then put them into cold water.",
            "For soft-boiled eggs, cook them 7 minutes in boiling water and cool them in ice water right away." },
    { true, "The Great Wall is about 21,196 km long.", "It has a length of roughly 21196 kilometres, counting all branches." },
    { true, "In Go, errors are values: a function returns an error as its last result and the caller checks it with if err != nil.",
            "Go has no exceptions. Functions return an error value, which you compare with nil: `if err != nil { return err }`." },
    { true, "The invoice was sent to the e-mail address of your account. Check the spam folder if you cannot find it.",
            "You will find your invoice in your e-mail inbox; it goes to the address your account uses. It may be in spam." },
    { false, "To reset your password, open Settings, choose Security and click Reset password. You will get an e-mail with a link.",
             "To delete your account, open Settings, choose Privacy and click Delete account. All your data will be gone after a week." },
    { false, "The capital of France is Paris.", "Water boils at 100 degrees Celsius." },
    { false, "Refunds are possible within 30 days of purchase.", "Refunds are possible within 14 days of purchase." },
    { false, "Yes, you can cancel at any time.", "No, a yearly plan cannot be cancelled before it ends." },
    { false, "Use a virtual environment: python3 -m venv .venv, then source .venv/bin/activate.",
             "Run npm init to create a package.json, then npm install to get the dependencies." },
    { false, "Photosynthesis is the process by which plants turn light, water and carbon dioxide into sugar and oxygen.",
             "Cellular respiration is the process in which cells break down sugar with oxygen to release energy." },
    { false, "A mutex lets one thread at a time enter a critical section; a semaphore counts and lets several in.",
             "A process has its own memory, while threads of one process share memory and are cheaper to create." },
    { false, "Mars has two moons, Phobos and Deimos.", "Jupiter has 95 known moons; the largest are Io, Europa, Ganymede and Callisto." },
    { false, "Our office is open Monday to Friday from 9:00 to 17:00.", "Our office is at 12 Harbour Street, next to the station." },
    { false, "Boil the eggs for 7 minutes for soft yolks.", "Whisk the eggs with milk and fry them in butter until they are just set." },
    { false, "您可以在“设置”里点击“安全”，然后选择“重置密码”。", "如需注销账户，请联系客服并提供身份证明。" },
    { false, "退款需要在购买后30天内申请。", "退款需要在购买后7天内申请。" },
    { false, "可以，随时都能取消订阅。", "不可以，年度套餐不能提前取消。" },
    { false, "The invoice was sent to the e-mail address of your account.", "You can pay by credit card, by bank transfer or with PayPal." },
    { false, "In Go, errors are values: a function returns an error as its last result.",
             "In Go, a goroutine is a light thread that you start with the keyword go; channels connect them." },
    { false, "Enable logging with log.level = \"debug\" in the configuration and restart the service.",
             "The service writes its data to /var/lib/app; change data.path to move it elsewhere." },
    { false, "Turn the valve clockwise to close it.", "The filter should be replaced every six months by a technician." },
    { false, "The Great Wall is about 21,196 km long.", "The Great Wall was built over several dynasties, mostly under the Ming." },
};

/* and not on these. */
static const struct pair others[] = {
    { true, "HTTP 404 means that the server did not find the page.", "A 404 status says the requested page could not be found on the server." },
    { true, "You can export your data as CSV from the Reports page.", "Go to Reports and choose Export; the data comes as a CSV file." },
    { true, "The meeting is on Tuesday at 3 pm in room 12.", "It takes place in room 12 on Tuesday, 3 pm." },
    { true, "Use git stash to put changes aside, and git stash pop to bring them back.",
            "Run `git stash` to save your changes for later. `git stash pop` applies them again." },
    { true, "Aspirin should be taken with food and plenty of water.", "Take aspirin together with a meal and drink a lot of water." },
    { true, "运费满99元免费，否则收取10元。", "订单满99元免运费，不足则需支付10元运费。" },
    { false, "HTTP 404 means that the server did not find the page.", "HTTP 301 means that the page moved to another address for good." },
    { false, "You can export your data as CSV from the Reports page.", "Users are invited by e-mail from the Team page." },
    { false, "The meeting is on Tuesday at 3 pm in room 12.", "The meeting is on Thursday at 11 am in room 7." },
    { false, "Use git stash to put changes aside, and git stash pop to bring them back.",
             "Use git rebase -i to edit, order and join the commits of a branch." },
    { false, "Aspirin should be taken with food and plenty of water.", "Store the medicine in a dry place, out of the reach of children." },
    { false, "运费满99元免费，否则收取10元。", "商品一般在付款后48小时内发货。" },
};

static enum answers compare(const char *a, const char *b) {
    struct embedder *e = embedder_new(NULL, NULL);
    float s, t;
    CHECK(e != NULL);
    enum answers there = answers_compare(e, slice_str(a), slice_str(b), &s);
    CHECK_INT(answers_compare(e, slice_str(b), slice_str(a), &t), there);
    embedder_free(e);
    NOTE("%d %.3f %s | %s", (int)there, (double)s, a, b);
    return there;
}

/* How many verdicts were right, and how many were wrong. */
static void count(const struct pair *pairs, size_t n, unsigned *right, unsigned *wrong) {
    *right = *wrong = 0;
    for (size_t i = 0; i < n; i++) {
        enum answers v = compare(pairs[i].a, pairs[i].b);
        if (v == ANSWERS_UNKNOWN) continue;
        if ((v == ANSWERS_AGREE) == pairs[i].same) ++*right;
        else ++*wrong;
    }
}

TEST_NOFAULT(verdicts_are_right_or_not_given) {
    unsigned right, wrong;
    count(chosen, sizeof(chosen) / sizeof(*chosen), &right, &wrong);
    CHECK_UINT(wrong, 0);
    CHECK(right >= 27);
    count(others, sizeof(others) / sizeof(*others), &right, &wrong);
    CHECK_UINT(wrong, 0);
    CHECK(right >= 9);
}

TEST_NOFAULT(numbers_are_compared_as_values) {
    CHECK_INT(compare("It costs 1,000 dollars.", "It costs 1000 dollars."), ANSWERS_AGREE);
    CHECK_INT(compare("It costs 1,000 dollars.", "It costs 1001 dollars."), ANSWERS_DIFFER);
    CHECK_INT(compare("It is 3.50 metres high.", "It is 3.5 metres high."), ANSWERS_AGREE);
    CHECK_INT(compare("It is 3.05 metres high.", "It is 3.5 metres high."), ANSWERS_DIFFER);
    CHECK(compare("It is 3.0 metres high.", "It is 3 metres high, as of 2024.") != ANSWERS_DIFFER);
    CHECK_INT(compare("It is 1.5 metres high.", "It is 15 metres high."), ANSWERS_DIFFER);
    CHECK_INT(compare("It is 10 metres high.", "It is 100 metres high."), ANSWERS_DIFFER);
    CHECK_INT(compare("The model X200 is faster.", "The model X300 is faster."), ANSWERS_DIFFER);
    CHECK_INT(compare("高度为３米。", "高度为3米。"), ANSWERS_AGREE);
    CHECK_INT(compare("1. Open the door.\n2. Go in.", "- Open the door.\n- Go in.\nIt is room 12."), ANSWERS_AGREE);
    CHECK_INT(compare("Room 1. Then go.", "Room 2. Then go."), ANSWERS_DIFFER);
}

TEST_NOFAULT(yes_is_not_no) {
    CHECK_INT(compare("**Yes**, it is open on Sunday.", "No, it is not open on Sunday."), ANSWERS_DIFFER);
    CHECK_INT(compare("不可以在周日退货。", "可以，在周日退货。"), ANSWERS_DIFFER);
    CHECK_INT(compare("No, it is closed on Sunday.", "No. On Sunday it is closed."), ANSWERS_AGREE);
    CHECK_INT(compare("Nothing is open on Sunday here.", "Yesterday nothing was open on Sunday here."), ANSWERS_AGREE);
}

TEST_NOFAULT(what_cannot_be_told_is_unknown) {
    static char many[4096], twice[20000];
    size_t n = 0;
    for (int i = 0; i < 300; i++) n += (size_t)snprintf(many + n, sizeof(many) - n, "%d ", i + 1000);
    CHECK_INT(compare("", "Something."), ANSWERS_UNKNOWN);
    CHECK_INT(compare(" \n", " "), ANSWERS_UNKNOWN);
    CHECK_INT(compare(many, "1000 and some more"), ANSWERS_UNKNOWN);
    for (int i = 0; i < 2000; i++) memcpy(twice + 9 * i, "a word \xE5\xAD", 9); /* cut inside of characters */
    CHECK_INT(compare(twice, twice), ANSWERS_AGREE);
}

TEST_FAULT(without_memory_nothing_is_said) {
    struct embedder *e = embedder_new(NULL, NULL);
    float s;
    if (e == NULL) {
        CHECK(unit_fault_fired());
        return;
    }
    enum answers v = answers_compare(e, SLICE("It is blue."), SLICE("It is blue, I think."), &s);
    CHECK(v == ANSWERS_AGREE || (v == ANSWERS_UNKNOWN && unit_fault_fired()));
    embedder_free(e);
}
