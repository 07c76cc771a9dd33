#!/bin/sh
# Makes the time-stamp tokens that the tests read, with OpenSSL 3.0 and nothing else:
#
#   verify/testdata/timestamp/make.sh
#
# Keys are new and times are today's at every run, so every file changes; the tests look at what the files
# mean. Tokens are made by `openssl ts` wherever it agrees to; what it refuses to sign (a wrong certificate, a
# chosen time) is signed by `openssl cms` over the same kind of content.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rm -f "$out"/*.der "$out"/*.tsr "$out"/*.tst "$out"/*.tsq "$out"/message "$out"/made-at

printf 'example.com/log\n1234\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n' > message
cp message "$out"
date +%s > "$out/made-at"

# --- certificates ------------------------------------------------------------------------------------------

cat > ca.conf <<'CONF'
[ca]
default_ca = it
[it]
database = index
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[not_ca]
basicConstraints = critical, CA:FALSE
[no_cert_sign]
basicConstraints = critical, CA:TRUE
keyUsage = critical, cRLSign
[for_servers]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = serverAuth
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[bare]
extendedKeyUsage = critical, timeStamping
[not_critical]
extendedKeyUsage = timeStamping
[two_purposes]
extendedKeyUsage = critical, timeStamping, codeSigning
[no_purpose]
keyUsage = critical, digitalSignature
[encipherment]
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = critical, timeStamping
[critical_extension]
extendedKeyUsage = critical, timeStamping
1.3.6.1.4.1.99999.1 = critical, ASN1:NULL
CONF
: > index

key() { # NAME ALGORITHM [SIZE]
    case $2 in
        RSA) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$3" -out "$1.key" ;;
        *) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1.key" ;;
    esac 2> /dev/null
}
day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
certificate() { # NAME ISSUER|self EXTENSIONS [KEY [START END [MORE...]]]
    name=$1 issuer=$2 extensions=$3 with=${4:-$1}
    start=${5:-20200101000000Z} end=${6:-20600101000000Z}
    shift $(($# < 6 ? $# : 6))
    openssl req -new -config ca.conf -key "$with.key" -subj "/CN=$name" -out "$name.csr"
    if [ "$issuer" = self ]; then
        by="-selfsign -keyfile $with.key"
    else
        by="-cert $issuer.crt -keyfile $issuer.key"
    fi
    # shellcheck disable=SC2086
    openssl ca -config ca.conf -batch -notext -preserveDN $by -extensions "$extensions" \
        -startdate "$start" -enddate "$end" "$@" -in "$name.csr" -out "$name.crt" 2> err ||
        { cat err >&2; exit 1; }
    openssl x509 -in "$name.crt" -outform DER -out "$out/$name.der"
}

key root P-384 && certificate root self root
key intermediate P-256 && certificate intermediate root intermediate
key other-root P-256 && certificate other-root self root
# The intermediate again, under another root: a token's chain may lead to either.
openssl req -new -config ca.conf -key intermediate.key -subj /CN=intermediate -out intermediate.csr
openssl ca -config ca.conf -batch -notext -cert other-root.crt -keyfile other-root.key \
    -extensions intermediate -startdate 20200101000000Z -enddate 20600101000000Z \
    -in intermediate.csr -out cross.crt 2> /dev/null
openssl x509 -in cross.crt -outform DER -out "$out/cross.der"

key rsa2048 RSA 2048 && certificate rsa2048 intermediate tsa
key rsa3072 RSA 3072 && certificate rsa3072 root tsa
key rsa4096 RSA 4096 && certificate rsa4096 root tsa
key rsa-root RSA 2048 && certificate rsa-root self root
key pss-root RSA 2048 && certificate pss-root self root
# A key that says of itself that it signs with RSASSA-PSS, how, and in no other way.
openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 \
    -pkeyopt rsa_pss_keygen_md:sha512 -pkeyopt rsa_pss_keygen_mgf1_md:sha512 \
    -pkeyopt rsa_pss_keygen_saltlen:32 -out pss-only.key 2> /dev/null
certificate pss-only root tsa
key p256 P-256 && certificate p256 intermediate tsa
key p384 P-384 && certificate p384 root tsa
key p521 P-521 && certificate p521 root tsa
key rsa1024 RSA 1024 && certificate rsa1024 root tsa
certificate by-rsa rsa-root bare p256 20200101000000Z 20600101000000Z -md sha512
certificate by-pss pss-root bare p256 20200101000000Z 20600101000000Z -md sha384 \
    -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
certificate by-sha1 rsa-root bare p256 20200101000000Z 20600101000000Z -md sha1
certificate short-lived root tsa p256 "$(day '1 hour ago')" "$(day '1 hour')"
certificate expired root tsa p256 20200101000000Z "$(day yesterday)"
certificate not-yet root tsa p256 "$(day tomorrow)" 20600101000000Z
for fault in not-critical two-purposes no-purpose encipherment critical-extension; do
    certificate $fault root "$(echo $fault | tr - _)" p256
done
for fault in not-ca no-cert-sign for-servers; do
    key $fault P-256 && certificate $fault root "$(echo $fault | tr - _)"
    certificate under-$fault $fault bare p256
done
# The intermediate says pathlen:0, so nobody below it may issue.
key deep P-256 && certificate deep intermediate root
certificate under-deep deep bare p256
key old-intermediate P-256
certificate old-intermediate root intermediate old-intermediate 20200101000000Z "$(day yesterday)"
certificate under-old-intermediate old-intermediate bare p256
# Self-signed certificates of one name and key: each of them vouches for every other.
key loop P-256
for one in loop-1 loop-2 loop-3 loop-4 loop-5 loop-6 loop-7 loop-8 loop-9; do
    openssl req -new -x509 -config ca.conf -extensions root -key loop.key -subj /CN=loop -days 9999 \
        -out loop.crt
    openssl x509 -in loop.crt -outform DER -out "$out/$one.der"
done
certificate in-loop loop bare p256
# Another certificate of the same key, issuer and serial number: the signature must tell them apart.
serial=$(openssl x509 -in p384.crt -noout -serial | sed s/serial=//)
openssl req -new -config ca.conf -key p384.key -subj /CN=twin -out twin.csr
openssl x509 -req -in twin.csr -CA root.crt -CAkey root.key -set_serial "0x$serial" -days 9999 \
    -extfile ca.conf -extensions tsa -out twin.crt 2> /dev/null
openssl x509 -in twin.crt -outform DER -out "$out/twin.der"

# --- tokens by `openssl ts` --------------------------------------------------------------------------------

cat > ts.conf <<'CONF'
[tsa]
default_tsa = it
[it]
serial = ./serial
default_policy = 1.3.6.1.4.1.99999.3161
other_policies = 1.3.6.1.4.1.99999.3162
digests = sha1, sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:20
ess_cert_id_alg = sha256
CONF
ts() { # NAME CERTIFICATE KEY IMPRINT SIGNED [CHAIN [EXTRA-LINE [QUERY-OPTION...]]]
    name=$1 by=$2 with=$3 imprint=$4 signed=$5 chain=${6:-} line=${7:-} want=-cert
    shift $(($# < 7 ? $# : 7))
    case $* in *no-cert*) want= && set -- ;; esac
    { cat ts.conf; echo "signer_digest = $signed"; echo "$line"; } > this.conf
    # shellcheck disable=SC2086
    openssl ts -query -data message "-$imprint" $want "$@" -out "$name.tsq" 2> /dev/null
    if [ -n "$chain" ]; then
        for one in $chain; do cat "$one.crt"; done > chain.pem
        set -- -chain chain.pem
    else
        set --
    fi
    openssl ts -reply -config this.conf -queryfile "$name.tsq" -signer "$by.crt" -inkey "$with.key" \
        "$@" -out "$out/$name.tsr" 2> err || { cat err >&2; exit 1; }
}

ts rsa2048-sha256 rsa2048 rsa2048 sha256 sha256 "root intermediate" 'ess_cert_id_chain = yes'
ts rsa3072-sha512 rsa3072 rsa3072 sha512 sha512
ts p256-sha256 p256 p256 sha256 sha256 intermediate
ts p384-sha384 p384 p384 sha384 sha384
ts p256-sha512 p256 p256 sha512 sha512 intermediate 'ess_cert_id_alg = sha512'
ts p384-sha256 p384 p384 sha256 sha256
ts no-cert p384 p384 sha256 sha384 "" "" no-cert
ts nonce p384 p384 sha256 sha256 "" 'tsa_name = yes' -tspolicy 1.3.6.1.4.1.99999.3162
cp nonce.tsq "$out"
ts no-nonce p384 p384 sha256 sha256 "" "" -no_nonce
cp no-nonce.tsq "$out"
ts ess-v1 p384 p384 sha256 sha256 "" 'ess_cert_id_alg = sha1'
ts fraction p384 p384 sha256 sha256 "" 'clock_precision_digits = 6'
ts by-rsa by-rsa p256 sha256 sha256
ts by-pss by-pss p256 sha256 sha256
ts short-lived short-lived p256 sha256 sha256
ts other-policy p384 p384 sha256 sha256 "" "" -tspolicy 1.2.3
ts in-loop in-loop p256 sha256 sha256
ts expired expired p256 sha256 sha256
ts not-yet not-yet p256 sha256 sha256
ts by-sha1 by-sha1 p256 sha256 sha256
ts signed-sha1 p384 p384 sha256 sha1
ts imprint-sha1 p384 p384 sha1 sha256
ts p521 p521 p521 sha256 sha512
ts rsa1024 rsa1024 rsa1024 sha256 sha256
for fault in not-ca no-cert-sign for-servers; do
    ts under-$fault under-$fault p256 sha256 sha256 $fault
done
ts under-deep under-deep p256 sha256 sha256 "deep intermediate"
ts under-old-intermediate under-old-intermediate p256 sha256 sha256 old-intermediate

# --- tokens by `openssl cms` -------------------------------------------------------------------------------

info() { # FILE TIME [EXTRA-FIELD-LINES]
    digest=$(openssl dgst -sha256 -r message | cut -c 1-64)
    cat > info.conf <<CONF
asn1 = SEQUENCE:info
[info]
version = INTEGER:1
policy = OID:1.3.6.1.4.1.99999.3161
imprint = SEQUENCE:imprint
serial = INTEGER:42
time = GENERALIZEDTIME:$2
$(printf '%b' "${3:-}")
[imprint]
algorithm = SEQUENCE:algorithm
digest = FORMAT:HEX,OCTETSTRING:$digest
[algorithm]
oid = OID:sha256
parameters = NULL
[extensions]
one = SEQUENCE:extension
[extension]
oid = OID:1.3.6.1.4.1.99999.2
critical = BOOLEAN:$([ "${4:-}" = critical ] && echo TRUE || echo FALSE)
value = OCTETSTRING:x
CONF
    openssl asn1parse -genconf info.conf -noout -out "$1"
}
cms() { # NAME CONTENT OPTION...
    name=$1 content=$2
    shift 2
    openssl cms -sign -binary -in "$content" -nodetach -nosmimecap -md sha256 \
        -econtent_type 1.2.840.113549.1.9.16.1.4 -outform DER -out "$out/$name.tst" "$@" 2> err ||
        { cat err >&2; exit 1; }
}

info at-2030 20300102030405Z
cms rsa4096-pss at-2030 -cades -signer rsa4096.crt -inkey rsa4096.key \
    -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest
cms pss-only at-2030 -cades -signer pss-only.crt -inkey pss-only.key -md sha512 \
    -keyopt rsa_pss_saltlen:64
cms key-id at-2030 -cades -keyid -signer p384.crt -inkey p384.key
cms cross at-2030 -cades -signer p256.crt -inkey p256.key -certfile cross.crt
cms no-ess at-2030 -signer p384.crt -inkey p384.key
cms two-signers at-2030 -cades -signer p384.crt -inkey p384.key -signer p256.crt -inkey p256.key
for fault in not-critical two-purposes no-purpose encipherment critical-extension; do
    cms $fault at-2030 -cades -signer $fault.crt -inkey p256.key
done
info at-2030-and-a-half 20300102030405.50Z
cms fraction-with-zero at-2030-and-a-half -cades -signer p384.crt -inkey p384.key
info with-extension 20300102030405Z 'extensions = IMPLICIT:1,SEQUENCE:extensions\n'
cms with-extension with-extension -cades -signer p384.crt -inkey p384.key
info with-critical 20300102030405Z 'extensions = IMPLICIT:1,SEQUENCE:extensions\n' critical
cms with-critical with-critical -cades -signer p384.crt -inkey p384.key
info at-2019 20190102030405Z
cms before-the-root at-2019 -cades -signer p384.crt -inkey p384.key
openssl cms -sign -binary -in at-2030 -nodetach -md sha256 -cades -signer p384.crt -inkey p384.key \
    -outform DER -out "$out/plain-data.tst"

# --- what OpenSSL itself says of those by `openssl ts` -----------------------------------------------------

cat root.crt other-root.crt rsa-root.crt pss-root.crt > roots.pem
for reply in "$out"/*.tsr; do
    name=$(basename "$reply" .tsr)
    # shellcheck disable=SC2046
    verdict=$(openssl ts -verify -in "$reply" -data message -CAfile roots.pem \
        -untrusted p384.crt -attime "$(cat "$out/made-at")" 2>&1 | grep -E -m1 'Verification|error' || true)
    echo "$name: $verdict"
done
