//! The words of the page *Work* about claims that are corrected, withdrawn and erased, in English and Chinese.

use serde::Serialize;

/// The words of one language about that.
pub(crate) struct AmendingWords {
    // What became of a claim.
    pub corrected_by: &'static str,
    pub withdrawn_by: &'static str,
    pub corrects: &'static str,
    pub withdraws: &'static str,
    pub contested_least: &'static str,
    pub more_than: &'static str,
    // What its owner can do.
    pub summary: &'static str,
    pub summary_erase: &'static str,
    pub needs_script: &'static str,
    pub for_ever: &'static str,
    pub for_ever_text: &'static str,
    pub signed: &'static str,
    pub correct_title: &'static str,
    pub correct_hint: &'static str,
    pub correct: &'static str,
    pub withdraw_title: &'static str,
    pub withdraw_hint: &'static str,
    pub withdraw_sure: &'static str,
    pub withdraw: &'static str,
    pub erase_title: &'static str,
    pub erase_hint: &'static str,
    pub erase_sure: &'static str,
    pub erase: &'static str,
    /// What the module of the page says.
    pub script: AmendingScript,
}

/// The words of the module.
#[derive(Serialize)]
pub(crate) struct AmendingScript {
    pub corrected: &'static str,
    pub withdrawn: &'static str,
    pub erased: &'static str,
    pub nothing: &'static str,
    pub amended: &'static str,
    pub changed: &'static str,
    pub too_long: &'static str,
    pub gone: &'static str,
}

pub(super) static ENGLISH: AmendingWords = AmendingWords {
    corrected_by: "Corrected: what {0} says stands in its place.",
    withdrawn_by: "Withdrawn by {0}: nothing is claimed here any more.",
    corrects: "Corrects {0}.",
    withdraws: "Withdraws {0}: this entry claims nothing.",
    contested_least: "Contested: {0} parties and more claim this work. The log shows who registered first, not who is right.",
    more_than: "more than {0}",
    summary: "Correct, withdraw or erase this claim",
    summary_erase: "Erase what this entry says",
    needs_script: "This needs JavaScript. Without it, the operator does it: timemark claim.",
    for_ever: "What stays for ever",
    for_ever_text: "The entry stays in the public log, with its number and the digests of the work and of the claim. A correction or a withdrawal is one more entry beside it; nothing is taken out. Whoever holds the earlier receipt can go on to show it: it proves what was said, and when.",
    signed: "Its creator signed this claim: it is corrected and withdrawn under the same key only, on the command line (timemark claim).",
    correct_title: "Correct",
    correct_hint: "Say it right. What you empty is taken out of the claim. The correction has an entry and a receipt of its own: take that receipt away as well.",
    correct: "Enter the correction in the log",
    withdraw_title: "Withdraw",
    withdraw_hint: "Nothing is claimed any more, and no scan names this claim. The withdrawal is an entry that states who withdraws which work. To claim it again, register it anew.",
    withdraw_sure: "I take this claim back",
    withdraw: "Enter the withdrawal in the log",
    erase_title: "Erase",
    erase_hint: "Title, claimant, file name and fingerprints go from this archive, and those of earlier claims that this one amends; the entries stay. If nothing is to be claimed any more either, withdraw first and erase then: what was withdrawn stays withdrawn, and what is erased cannot be withdrawn.",
    erase_sure: "I know that this cannot be undone",
    erase: "Erase for good",
    script: AmendingScript {
        corrected: "Corrected, by No. {0}. Take its receipt away as well.",
        withdrawn: "Withdrawn, by No. {0}. Nothing is claimed any more.",
        erased: "Erased: No. {0}. The entries stay in the log.",
        nothing: "Nothing was changed.",
        amended: "This claim does not stand any more: it was corrected or withdrawn meanwhile. Load the page again.",
        changed: "The claim changed meanwhile. Load the page again.",
        too_long: "A text is longer than a claim can hold.",
        gone: "This claim is not here any more. Load the page again.",
    },
};

pub(super) static CHINESE: AmendingWords = AmendingWords {
    corrected_by: "已更正：以{0}的内容为准。",
    withdrawn_by: "已由{0}撤回：此处不再主张任何内容。",
    corrects: "更正{0}。",
    withdraws: "撤回{0}：本条目不作任何主张。",
    contested_least: "存在争议：至少 {0} 方主张这件作品。日志只显示谁先登记，不裁定谁有权利。",
    more_than: "超过 {0}",
    summary: "更正、撤回或删除这项声明",
    summary_erase: "删除本条目的内容",
    needs_script: "此功能需要 JavaScript。没有它时，由运营方用 timemark claim 办理。",
    for_ever: "永久保留的内容",
    for_ever_text: "条目连同编号、作品摘要和声明摘要永久留在公开日志中。更正或撤回是在其后新增一个条目，不会取走任何内容。持有原收据的人仍可出示它：它证明当时说过什么，以及何时说的。",
    signed: "这项声明由创作者签名：只能用同一密钥在命令行更正或撤回（timemark claim）。",
    correct_title: "更正",
    correct_hint: "改成正确的内容。清空的项目将从声明中去掉。更正有自己的条目和收据：请一并取走新收据。",
    correct: "将更正写入日志",
    withdraw_title: "撤回",
    withdraw_hint: "不再主张任何内容，扫描也不再指出这项声明。撤回是一个条目，写明谁撤回哪件作品。若要再次主张，请重新登记。",
    withdraw_sure: "我撤回这项声明",
    withdraw: "将撤回写入日志",
    erase_title: "删除",
    erase_hint: "标题、主张人、文件名和指纹将从本库删除，被本条目修改的较早声明也一并删除；条目保留。若也不再主张任何内容，请先撤回再删除：已撤回的保持撤回，已删除的无法再撤回。",
    erase_sure: "我知道此操作无法恢复",
    erase: "永久删除",
    script: AmendingScript {
        corrected: "已更正，第 {0} 号。请一并取走其收据。",
        withdrawn: "已撤回，第 {0} 号。不再主张任何内容。",
        erased: "已删除：第 {0} 号。条目保留在日志中。",
        nothing: "没有更改任何内容。",
        amended: "这项声明已不再有效：其间已被更正或撤回。请重新载入页面。",
        changed: "这项声明其间有变化。请重新载入页面。",
        too_long: "有一项文字超出声明可容纳的长度。",
        gone: "这项声明已不在此处。请重新载入页面。",
    },
};
