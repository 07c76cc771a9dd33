//! Why a time-stamp token proves no time: the first check that failed.

/// Why a token proves nothing under an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampFault {
    /// Neither the token nor anybody else brought the certificate of its signer.
    #[error("the certificate of the token's signer is missing")]
    SignerMissing,
    /// No signed attribute says which certificate the signer used.
    #[error("the token's signature does not name its signer's certificate")]
    SignerNotNamed,
    /// A signed attribute names another certificate.
    #[error("the token's signature names another certificate than its signer's")]
    OtherSigner,
    /// The signed attributes are about another kind of content.
    #[error("the token's signature is not about a time-stamp")]
    ContentType,
    /// The signed attributes are about another content.
    #[error("the token's signature is about another content")]
    MessageDigest,
    /// The signer's key did not make the signature.
    #[error("the token's signature is not genuine")]
    Signature,
    /// An algorithm or key that counts for nothing, or that nobody here can check.
    #[error("not supported: {what}")]
    Unsupported {
        /// The algorithm or key.
        what: String,
    },
    /// The signer's certificate is not one for time-stamps.
    #[error("the certificate {certificate} is not for signing time-stamps: {reason}")]
    SignerPurpose {
        /// Whose certificate.
        certificate: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// A certificate in the path may not issue the one below it.
    #[error("the certificate {certificate} cannot vouch for another: {reason}")]
    IssuerPurpose {
        /// Whose certificate.
        certificate: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// The time of the token lies outside the validity of a certificate.
    #[error("the certificate {certificate} was not valid at the time of the token")]
    NotValid {
        /// Whose certificate.
        certificate: String,
    },
    /// A certificate has conditions that nobody here understands.
    #[error("the certificate {certificate} has the critical extension {extension}, not known here")]
    CriticalExtension {
        /// Whose certificate.
        certificate: String,
        /// Its object identifier.
        extension: String,
    },
    /// The issuer's key did not sign the certificate.
    #[error("the certificate {certificate} is not signed by {issuer}, whom it names as its issuer")]
    CertificateSignature {
        /// Whose certificate.
        certificate: String,
        /// Who should have signed it.
        issuer: String,
    },
    /// No certificate leads on towards the authority.
    #[error("no path of certificates leads from {certificate} to the authority {authority}")]
    NoPath {
        /// Whose certificate.
        certificate: String,
        /// The anchor.
        authority: String,
    },
    /// A path grew longer than any real one.
    #[error("the path of certificates is too long")]
    PathTooLong,
    /// So many certificates fit together that the search was given up.
    #[error("too many paths of certificates are possible")]
    TooManyPaths,
    /// More further certificates than any check needs.
    #[error("too many further certificates are given")]
    TooManyCertificates,
}
