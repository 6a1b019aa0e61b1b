#!/bin/sh
# Signs a driver with a test certificate of this folder's own, made when it is not there: usage sign.sh DRIVER.sys [SIGNED.sys]. Without a second file the signed one
# goes to the folder "signed" here, under its own name.
# Needs openssl and osslsigncode (Debian has both). The machine that loads it has to trust the certificate and to have test signing on: docs/first-run-on-windows.md.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
store=${DRIVERFAULT_SIGNING:-$here/private}
name='DriverFaultHarness test signing'

give_up() { printf 'sign.sh: %s\n' "$*" >&2; exit 1; }
for tool in openssl osslsigncode; do command -v "$tool" >/dev/null || give_up "$tool is not here (apt-get install $tool)"; done
[ $# -ge 1 ] && [ $# -le 2 ] || give_up 'usage: sign.sh DRIVER.sys [SIGNED.sys]'
[ -f "$1" ] || give_up "there is no file $1"
signed=${2:-$here/signed/$(basename -- "$1")}

# The key never leaves this machine: git ignores the folder, and whoever trusts the certificate trusts whoever has the key.
if [ ! -f "$store/test.key" ] || [ ! -f "$store/test.cer" ]; then
    (umask 077; mkdir -p "$store")
    (umask 077; openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days 3650 -subj "/CN=$name" \
        -addext 'extendedKeyUsage=codeSigning' -addext 'keyUsage=digitalSignature' -addext 'basicConstraints=critical,CA:FALSE' \
        -keyout "$store/test.key" -out "$store/test.pem" 2>/dev/null)
    openssl x509 -in "$store/test.pem" -outform DER -out "$store/test.cer"
    printf 'sign.sh: made the certificate %s; import it on the test machine\n' "$store/test.cer" >&2
fi

mkdir -p "$(dirname -- "$signed")"
rm -f "$signed"
osslsigncode sign -h sha256 -certs "$store/test.pem" -key "$store/test.key" -n "$name" -in "$1" -out "$signed" >/dev/null || give_up "osslsigncode did not sign $1"
osslsigncode verify -CAfile "$store/test.pem" -in "$signed" >/dev/null 2>&1 || give_up "the signature of $signed does not hold"
printf '%s\n' "$signed"
