# A certificate authority for the lab, so that the daemon can be spoken to over the network. Sourced by both labs.

# make_certificates FOLDER ADDRESS…: ca.pem, and own.pem with own.key for a server at these addresses.
make_certificates() {
    local names
    names=$(printf ',IP:%s' "${@:2}")
    mkdir -p "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=lab \
        -keyout "$1/ca.key" -out "$1/ca.pem" 2> /dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=guest \
        -keyout "$1/own.key" -out "$1/own.csr" 2> /dev/null
    openssl x509 -req -in "$1/own.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 30 \
        -extfile <(printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "${names#,}") -out "$1/own.pem" 2> /dev/null
}

# listen_over_tls ROOT FOLDER: below ROOT, the daemon listens on port 8443 with the folder's certificate, and trusts the
# token that is made in FOLDER/token.
listen_over_tls() {
    local etc=$1/etc/cloud-channel made
    made=$("$binary" keys token lab)
    sed -n 's/^token: //p' <<< "$made" > "$2/token"
    install -d -m 755 "$etc"
    install -m 600 "$2/own.key" "$2/own.pem" "$etc"
    sed -n 's/^for the token file: //p' <<< "$made" | install -m 600 /dev/stdin "$etc/tokens"
    install -m 600 /dev/stdin "$etc/config.yaml" << 'CONFIG'
listen: ["wss://0.0.0.0:8443"]
tls: {certificate: /etc/cloud-channel/own.pem, key: /etc/cloud-channel/own.key}
authority:
  - who: [{unix: root}, {unix: self}, {vsock: host}, {token: lab}]
    may: [publish, subscribe, get]
    on: [/**]
CONFIG
}
