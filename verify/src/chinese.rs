//! What a verdict says in Chinese, for the courts that read it.

use crate::Refusal;

/// A refusal in a sentence.
pub(crate) fn refusal_in_chinese(refusal: &Refusal) -> String {
    let words = check_in_chinese(refusal.check());
    match refusal {
        Refusal::Inclusion { anchor, .. } => format!("第 {anchor} 个锚点：{words}"),
        Refusal::Signature { anchor, signer } => format!("第 {anchor} 个锚点：{words}（{signer}）"),
        Refusal::UntrustedLog { named } => format!("{words}（收据所载密钥：{}）", named.join("、")),
        Refusal::SplitView { origin, size } => format!("{words}（{origin}，{size} 条）"),
        Refusal::NotRenewed { aged, .. } => format!("{words}（{aged}）"),
        _ => words.to_owned(),
    }
}

/// What the failure of a check means.
pub(crate) fn check_in_chinese(check: &str) -> &'static str {
    match check {
        "work.length" => "文件不是收据所载的作品：长度不同",
        "work.sha256" => "文件不是收据所载的作品：SHA-256 不同",
        "work.sha512" => "文件不是收据所载的作品：SHA-512 不同",
        "work.sm3" => "文件不是收据所载的作品：SM3 摘要不同",
        "leaf.content" => "日志条目所载的作品摘要与声明不符",
        "leaf.claim" => "日志条目所载的声明摘要与声明不符",
        "claim.creator" => "声明中的作者签名无效",
        "anchor.inclusion" => "包含证明不成立",
        "anchor.signature" => "检查点上的签名无效",
        "log.split-view" => "日志对同一大小签署了两棵不同的树",
        "policy.log" => "没有策略所信任的日志签署该收据",
        "policy.quorum" => "日志签名有效，但缺少策略要求的见证人联署",
        "policy.renewal" => "所依赖的算法或机构已过期，且此前未续期",
        "policy.missing" => "缺少策略文件，无法判定",
        "policy.format" => "策略文件无法读取",
        "receipt.format" => "收据无法读取或已损坏",
        "certificate.format" => "证书中没有唯一的收据",
        "bundle.zip" => "证据包的结构已损坏",
        "bundle.manifest" => "证据包的清单无法读取",
        "bundle.file" => "证据包中的文件与清单不符",
        "bundle.missing" => "证据包不完整",
        _ => "检查未通过",
    }
}
