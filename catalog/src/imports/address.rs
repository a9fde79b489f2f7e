//! Which addresses may be fetched from.
//!
//! In: an address a name resolved to. Out: why it is refused, if it is. Addresses that stand for another one (IPv4 in IPv6) are
//! judged by that one too. What hands out a machine's own credentials is refused whatever a setting says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It hands out a machine's credentials.
    Metadata,
    /// Nothing can be fetched from there.
    Unusable,
    /// It is inside of a network: private, loopback, link-local, shared.
    Inside,
}

impl Reason {
    pub(super) fn text(self) -> &'static str {
        match self {
            Reason::Metadata => {
                "is where clouds hand out credentials; nothing is ever fetched from there"
            }
            Reason::Unusable => "is no address of a server",
            Reason::Inside => {
                "is inside of a network; allow private addresses in the catalog's settings if documents are to be fetched from there"
            }
        }
    }
}

/// Where the metadata services of clouds are, beside link-local ones: Alibaba, Azure, Oracle.
const METADATA: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Why nothing is fetched from an address; `inside`: addresses inside of networks are allowed.
pub(super) fn refused(address: IpAddr, inside: bool) -> Option<Reason> {
    let reasons = match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => {
            let own = v6(address);
            match embedded(address) {
                Some(inner) => own.into_iter().chain(v4(inner)).min(),
                None => own,
            }
        }
    };
    reasons.filter(|reason| !(inside && *reason == Reason::Inside))
}

fn v4(address: Ipv4Addr) -> Option<Reason> {
    let [a, b, c, _] = address.octets();
    if METADATA.contains(&address) {
        return Some(Reason::Metadata);
    }
    if a == 0 || address.is_multicast() || a >= 240 {
        return Some(Reason::Unusable);
    }
    let shared = a == 100 && (64..128).contains(&b);
    let special = (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113);
    let inside = address.is_private() || address.is_loopback() || address.is_link_local();
    (inside || shared || special).then_some(Reason::Inside)
}

fn v6(address: Ipv6Addr) -> Option<Reason> {
    let first = address.segments()[0];
    // Amazon's and Google's metadata services.
    let metadata = [
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023),
        Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    ];
    if metadata.contains(&address) {
        return Some(Reason::Metadata);
    }
    if address.is_unspecified() || address.is_multicast() {
        return Some(Reason::Unusable);
    }
    let local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 || first & 0xffc0 == 0xfec0;
    (address.is_loopback() || local || (first == 0x2001 && address.segments()[1] == 0x0db8))
        .then_some(Reason::Inside)
}

/// The IPv4 address that an IPv6 one leads to: mapped, compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(of(g, h)),
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x0064, 0xff9b, 0, 0, 0, 0) => {
            Some(of(g, h))
        }
        (0x2002, ..) => Some(of(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged() {
        let check = |address: &str, expected: Option<Reason>| {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(refused(parsed, false), expected, "{address}");
            let inside = expected.filter(|reason| *reason != Reason::Inside);
            assert_eq!(refused(parsed, true), inside, "{address}, inside allowed");
        };
        check("93.184.215.14", None);
        check("2606:2800:21f:cb07:6820:80da:af6b:8b2c", None);
        for address in [
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "100.64.0.1",
        ] {
            check(address, Some(Reason::Inside));
        }
        for address in [
            "::1",
            "fe80::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            check(address, Some(Reason::Inside));
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "::ffff:0.0.0.0",
        ] {
            check(address, Some(Reason::Unusable));
        }
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            check(address, Some(Reason::Metadata));
        }
    }
}
