//! Every word that stands on every certificate, in Chinese and English.
//!
//! The bold face holds the characters of this file alone; certificate/fonts/README.md says how it is made.

/// The same in both languages.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub zh: &'static str,
    pub en: &'static str,
}

pub(crate) const TITLE: Words =
    Words { zh: "版权存证证书", en: "CERTIFICATE OF REGISTRATION" };
pub(crate) const NUMBER: Words = Words { zh: "证书编号", en: "Certificate number" };

pub(crate) const WORK: Words = Words { zh: "作品", en: "The work, as claimed" };
pub(crate) const DIGESTS: Words = Words { zh: "数字指纹", en: "Digests of the file" };
pub(crate) const TIME: Words = Words { zh: "时间证明", en: "Proof of time" };
pub(crate) const RECORD: Words = Words { zh: "日志记录", en: "Record in the log" };
pub(crate) const PROVES: Words = Words { zh: "本证书证明", en: "What this proves" };
pub(crate) const PROVES_NOT: Words =
    Words { zh: "本证书不证明", en: "What this does not prove" };
pub(crate) const CHECK: Words = Words { zh: "如何核验", en: "How to verify" };

pub(crate) const UNTITLED: Words = Words { zh: "无题", en: "Untitled" };
pub(crate) const FILE_NAME: Words = Words { zh: "文件名", en: "File name" };
pub(crate) const TYPE_AND_SIZE: Words = Words { zh: "类型与大小", en: "Type and size" };
pub(crate) const CLAIMANT: Words = Words { zh: "声明人", en: "Claimant" };
pub(crate) const CREATED: Words = Words { zh: "创作时间", en: "Created (claimed)" };
pub(crate) const RIGHTS: Words = Words { zh: "权利声明", en: "Rights" };
pub(crate) const COLLECTION: Words = Words { zh: "作品集", en: "Collection" };
pub(crate) const CREATOR_KEY: Words = Words { zh: "创作者公钥", en: "Creator's key" };
pub(crate) const NOT_STATED: Words = Words { zh: "未声明", en: "not stated" };
pub(crate) const BYTES: Words = Words { zh: "字节", en: "bytes" };
pub(crate) const PICTURE: Words = Words { zh: "作品缩略图", en: "The work, reduced" };

/// Beside the code for who cannot see it.
pub(crate) const QR: Words =
    Words { zh: "二维码：本证书要点", en: "The essentials as a QR code" };

pub(crate) const EXISTED_BY: Words =
    Words { zh: "该作品至迟于北京时间", en: "The work existed by" };
pub(crate) const EXISTED: &str = "已经存在";
pub(crate) const NO_DATE: Words = Words {
    zh: "未证明任何日期：仅证明日志收录了此项声明。",
    en: "No date is proven: no witness or authority vouches for one. All that is proven is that the log holds this claim.",
};
pub(crate) const SOURCE: Words = Words { zh: "来源", en: "Source" };
pub(crate) const UTC: Words = Words { zh: "协调世界时", en: "UTC" };
pub(crate) const BEIJING: Words = Words { zh: "北京时间", en: "UTC+8" };
pub(crate) const WITNESS: Words = Words { zh: "见证方", en: "Witness" };
pub(crate) const AUTHORITY: Words = Words { zh: "时间戳机构", en: "RFC 3161 authority" };
pub(crate) const RENEWAL: Words = Words { zh: "续期时间戳", en: "RFC 4998 renewal" };
pub(crate) const NO_TIME: Words = Words { zh: "未声明时间", en: "states no time" };
pub(crate) const MORE: Words =
    Words { zh: "其余见所附收据", en: "more in the attached receipt" };

pub(crate) const LOG: Words = Words { zh: "日志", en: "Log origin" };
pub(crate) const ENTRY: Words = Words { zh: "条目", en: "Entry" };
pub(crate) const TREE_SIZE: Words = Words { zh: "日志大小", en: "Tree size" };
pub(crate) const FROM_ZERO: Words = Words { zh: "自 0 起计", en: "counted from 0" };
pub(crate) const ROOT: Words = Words { zh: "默克尔树根", en: "Root hash" };
pub(crate) const CLAIM: Words = Words { zh: "声明摘要", en: "Claim SHA-256" };
pub(crate) const POLICY: Words = Words { zh: "信任策略", en: "Policy SHA-256" };

pub(crate) const PROVES_TEXT: Words = Words {
    zh: "上述日志在上述条目处收录了本声明；与上列指纹相符的文件即为声明所指的作品；如载有时间，则该文件与声明至迟于当时已经存在，\
         此后未被更改。前提是信任所附策略中的日志、见证方与时间戳机构。",
    en: "That the log holds this claim at the entry named; that a file with these digests is the work of the claim; and, \
         where a time is given, that both existed by then and have not been altered since. All of it as far as one trusts \
         the log, the witnesses and the authorities of the attached policy.",
};
pub(crate) const PROVES_NOT_TEXT: Words = Words {
    zh: "作者身份、独创性、权利归属与创作时间均为声明人单方陈述，未经任何人核实。本证书不是著作权登记机关的登记，\
         不构成法律意见。",
    en: "Authorship, originality, ownership and the date of creation are the claimant's word; nobody has examined them. \
         This is no registration with a copyright office, and no legal advice.",
};

pub(crate) const CHECK_WITH_US: Words = Words {
    zh: "离线打开 verify.html，放入作品、本 PDF 与您所信任的策略文件；或运行",
    en: "Open verify.html offline and drop in the work, this PDF and a policy that you trust; or run",
};
pub(crate) const CHECK_COMMAND: &str = "timemark-verify WORK CERTIFICATE.pdf POLICY";
pub(crate) const CHECK_WITHOUT_US: Words = Words {
    zh: "不用本软件：取出附件（pdfdetach -saveall），然后运行",
    en: "Without our software: save the attachments (pdfdetach -saveall) and run",
};
pub(crate) const ATTACHED: Words = Words { zh: "附件", en: "Attached" };
pub(crate) const EVIDENCE: Words = Words {
    zh: "本页由所附收据生成，以收据为准。",
    en: "This page is drawn from the attached receipt; the receipt is the evidence.",
};
