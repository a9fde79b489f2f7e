//! A read-only look at nginx's request: what nginx keeps in pools, lists and bit fields, as borrowed plain values.
//!
//! In: `ngx_http_request_t`. Out: byte slices, numbers, addresses, valid as long as the request's pool. It changes
//! nothing in the request, allocates only for rare headers, and makes no system call but one per connection (the
//! address a wildcard listener took it on).

use std::borrow::Cow;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr::{self, NonNull};

use nginx_sys::{
    AF_INET, AF_INET6, NGX_HTTP_HEAD, ngx_buf_t, ngx_cached_http_time, ngx_chain_t,
    ngx_connection_local_sockaddr, ngx_connection_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_request_t, ngx_http_time,
    ngx_http_upstream_state_t, ngx_list_part_t, ngx_list_t, ngx_str_t, ngx_table_elt_t,
    ngx_timeofday, sockaddr, sockaddr_in, sockaddr_in6,
};

/// A main request, or a subrequest that is only asked whether it is one.
#[derive(Clone, Copy)]
pub(crate) struct Request(NonNull<ngx_http_request_t>);

/// The upstream that served a request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Upstream<'a> {
    pub(crate) name: &'a str,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) micros: Option<u64>,
}

impl Request {
    /// # Safety
    /// `r` points to a request that nginx keeps alive, and does not touch from elsewhere, while the value is used.
    pub(crate) unsafe fn new(r: *mut ngx_http_request_t) -> Option<Request> {
        NonNull::new(r).map(Request)
    }

    pub(crate) fn as_ptr(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    fn r<'a>(self) -> &'a ngx_http_request_t {
        // SAFETY: `new` was promised a live request; the module runs on nginx's only thread.
        unsafe { self.0.as_ref() }
    }

    fn connection<'a>(self) -> Option<&'a ngx_connection_t> {
        // SAFETY: a request's connection outlives it.
        unsafe { self.r().connection.as_ref() }
    }

    pub(crate) fn is_main(self) -> bool {
        ptr::eq(self.r().main, self.0.as_ptr())
    }

    pub(crate) fn is_https(self) -> bool {
        #[cfg(ngx_feature = "http_ssl")]
        return self.connection().is_some_and(|c| !c.ssl.is_null());
        #[cfg(not(ngx_feature = "http_ssl"))]
        return false;
    }

    pub(crate) fn http_version(self) -> &'static str {
        match self.r().http_version {
            9 => "0.9",
            1000 => "1.0",
            2000 => "2",
            3000 => "3",
            _ => "1.1",
        }
    }

    /// The method as sent; empty when the request line could not be read.
    pub(crate) fn method<'a>(self) -> &'a [u8] {
        bytes(&self.r().method_name)
    }

    /// The request target as sent, before decoding and rewriting, split at the first `?`.
    pub(crate) fn target<'a>(self) -> (&'a [u8], Option<&'a [u8]>) {
        let uri = bytes(&self.r().unparsed_uri);
        match uri.iter().position(|b| *b == b'?') {
            Some(at) => (uri.get(..at).unwrap_or_default(), uri.get(at + 1..)),
            None => (uri, None),
        }
    }

    /// `host[:port]`: of the absolute form of the target if there is one (RFC 9112 §3.2.2), else of `Host` or
    /// `:authority`; empty when the client named none.
    pub(crate) fn authority<'a>(self) -> &'a [u8] {
        let r = self.r();
        if r.http_version < 2000 && !r.host_start.is_null() && r.host_end > r.host_start {
            let end = if r.port_end > r.host_end {
                r.port_end
            } else {
                r.host_end
            };
            // SAFETY: nginx's parser set these into the request line, which lives as long as the request.
            return unsafe {
                std::slice::from_raw_parts(
                    r.host_start,
                    end.offset_from(r.host_start).unsigned_abs(),
                )
            };
        }
        // SAFETY: null, or an element of the header list.
        unsafe { r.headers_in.host.as_ref() }.map_or(&[], |host| bytes(&host.value))
    }

    /// Every header of the request, in order, with duplicates; HTTP/2's `:authority` appears as `host`.
    pub(crate) fn headers<'a>(self) -> Headers<'a> {
        Headers::new(&self.r().headers_in.headers, None)
    }

    /// When the first byte arrived, in milliseconds since 1970, and how long ago that is by the same clock.
    pub(crate) fn started(self) -> (u64, u64) {
        let r = self.r();
        let start = unsigned(r.start_sec) * 1000 + r.start_msec as u64;
        let now = ngx_timeofday();
        let now = unsigned(now.sec) * 1000 + now.msec as u64;
        (start, now.saturating_sub(start))
    }

    /// What `Content-Length` of the request said. nginx counts its own number of it down while it discards a body.
    pub(crate) fn announced_length(self) -> Option<u64> {
        // SAFETY: null, or an element of the header list.
        let header = unsafe { self.r().headers_in.content_length.as_ref() }?;
        text(&header.value)
            .parse()
            .ok()
            .filter(|length| *length > 0)
    }

    /// The status that is or was sent; 0 when there is none.
    pub(crate) fn status(self) -> u16 {
        let r = self.r();
        let status = if r.headers_out.status != 0 {
            r.headers_out.status
        } else {
            r.err_status
        };
        u16::try_from(status).unwrap_or(0)
    }

    /// True when nothing but a head will be sent.
    pub(crate) fn is_header_only(self) -> bool {
        self.r().header_only() != 0 || self.r().method == NGX_HTTP_HEAD as usize
    }

    /// Bytes that wait for a client that no longer takes them.
    pub(crate) fn is_cut_off(self) -> bool {
        !self.r().out.is_null()
            && self
                .connection()
                .is_some_and(|c| c.error() != 0 || c.timedout() != 0)
    }

    /// Filters that run after this module's still change the head: the range filter, and the header filter that makes
    /// `Location` absolute. Then the head is read after they ran.
    pub(crate) fn head_changes_downstream(self) -> bool {
        let r = self.r();
        let ranged =
            r.allow_ranges() != 0 && !r.headers_in.range.is_null() && r.headers_out.status == 200;
        // SAFETY: null, or an element of the header list.
        let redirect = unsafe { r.headers_out.location.as_ref() };
        ranged || redirect.is_some_and(|location| bytes(&location.value).first() == Some(&b'/'))
    }

    /// Whether the response has a content coding now.
    pub(crate) fn has_content_encoding(self) -> bool {
        // SAFETY: null, or an element of the header list.
        unsafe { self.r().headers_out.content_encoding.as_ref() }
            .is_some_and(|header| header.hash != 0)
    }

    /// Every header of the response as it is or will be sent, the ones nginx adds itself first, as it does;
    /// hop-by-hop headers (`Connection`, `Transfer-Encoding`) are left out. `hide_coding` leaves out
    /// `Content-Encoding`: nginx's gzip filter added it after the body had been seen plain.
    pub(crate) fn response_headers<'a>(self, hide_coding: bool) -> ResponseHeaders<'a> {
        let out = &self.r().headers_out;
        let mut own: OwnHeaders<'a> = [const { None }; 6];
        let [
            server,
            date,
            content_type,
            content_length,
            last_modified,
            location,
        ] = &mut own;
        if out.server.is_null() {
            *server = self
                .server_tokens()
                .map(|value| (&b"server"[..], Cow::Borrowed(value)));
        }
        if out.date.is_null() {
            // SAFETY: nginx keeps the formatted date for as long as it runs, updated between events only.
            let now = unsafe { bytes(&*ptr::addr_of!(ngx_cached_http_time).cast::<ngx_str_t>()) };
            *date = Some((b"date", Cow::Borrowed(now)));
        }
        let bare = out.status == 204 || out.status == 101;
        if out.content_type.len != 0 && !bare {
            let value = bytes(&out.content_type);
            let whole = out.content_type_len == out.content_type.len && out.charset.len != 0;
            let value = match whole {
                true => Cow::Owned([value, b"; charset=", bytes(&out.charset)].concat()),
                false => Cow::Borrowed(value),
            };
            *content_type = Some((b"content-type", value));
        }
        if out.content_length.is_null() && out.content_length_n >= 0 && !bare {
            *content_length = Some((
                b"content-length",
                Cow::Owned(out.content_length_n.to_string().into_bytes()),
            ));
        }
        if out.last_modified.is_null() && out.last_modified_time != -1 && !bare {
            let mut text = [0u8; 32];
            // SAFETY: `ngx_http_time` writes 29 bytes and returns their end.
            let end = unsafe { ngx_http_time(text.as_mut_ptr(), out.last_modified_time) };
            let length = (end as usize).saturating_sub(text.as_ptr() as usize);
            let value = text.get(..length).unwrap_or_default().to_vec();
            *last_modified = Some((b"last-modified", Cow::Owned(value)));
        }
        // SAFETY: null, or an element of the header list.
        if let Some(header) = unsafe { out.location.as_ref() }
            && header.hash == 0
            && header.value.len != 0
        {
            // nginx took it out of the list because it wrote an absolute one itself, and put that here for logs.
            *location = Some((b"location", Cow::Borrowed(bytes(&header.value))));
        }
        ResponseHeaders {
            own,
            list: &out.headers,
            hide_coding,
        }
    }

    fn server_tokens(self) -> Option<&'static [u8]> {
        Some(match self.location()?.server_tokens {
            0 => b"nginx",
            1 => nginx_sys::NGINX_VER.to_bytes(),
            _ => nginx_sys::NGINX_VER_BUILD.to_bytes(),
        })
    }

    fn location<'a>(self) -> Option<&'a ngx_http_core_loc_conf_t> {
        // SAFETY: every request has the core module's configuration at the core module's index.
        unsafe {
            let module = &*ptr::addr_of!(ngx_http_core_module);
            (*self.r().loc_conf.add(module.ctx_index))
                .cast::<ngx_http_core_loc_conf_t>()
                .as_ref()
        }
    }

    /// The location in which processing is, as written in the configuration.
    pub(crate) fn location_name<'a>(self) -> &'a str {
        self.location().map_or("", |location| text(&location.name))
    }

    /// The first `server_name` of the server block.
    pub(crate) fn virtual_server<'a>(self) -> &'a str {
        // SAFETY: as in `location`.
        let server = unsafe {
            let module = &*ptr::addr_of!(ngx_http_core_module);
            (*self.r().srv_conf.add(module.ctx_index))
                .cast::<ngx_http_core_srv_conf_t>()
                .as_ref()
        };
        server.map_or("", |server| text(&server.server_name))
    }

    /// The client, after the real-IP module if that is used.
    pub(crate) fn client(self) -> Option<SocketAddr> {
        // SAFETY: the connection's address is valid while the connection is.
        self.connection()
            .and_then(|c| unsafe { address(c.sockaddr) })
    }

    /// The address that took the connection. A wildcard listener's is asked for once per connection.
    pub(crate) fn server(self) -> Option<SocketAddr> {
        let mut connection = self.r().connection;
        #[cfg(ngx_feature = "http_v2")]
        // SAFETY: an HTTP/2 stream's connection is a copy per request; the one to ask, and to cache in, is the real one.
        unsafe {
            if let Some(stream) = self.r().stream.as_ref()
                && let Some(h2) = stream.connection.as_ref()
            {
                connection = h2.connection;
            }
        }
        // SAFETY: a live connection; nginx replaces the wildcard by the address and keeps it.
        unsafe {
            if connection.is_null()
                || ngx_connection_local_sockaddr(connection, ptr::null_mut(), 0) != 0
            {
                return None;
            }
            address((*connection).local_sockaddr)
        }
    }

    /// The TLS session with the client.
    #[cfg(ngx_feature = "http_ssl")]
    pub(crate) fn tls<'a>(self) -> Option<silhouette_capture::Tls<'a>> {
        use nginx_sys::{
            ngx_http_ssl_module, ngx_http_ssl_srv_conf_t, ngx_ssl_get_cipher_name,
            ngx_ssl_get_client_verify, ngx_ssl_get_protocol, ngx_ssl_get_server_name,
        };
        let r = self.r();
        if !self.is_https() {
            return None;
        }
        let mut value = ngx_str_t {
            len: 0,
            data: ptr::null_mut(),
        };
        // SAFETY: `ngx_ssl_get_*` take a connection with TLS and a pool for what they must copy. Protocol and cipher
        // set only `data`, to a static C string.
        unsafe {
            ngx_ssl_get_protocol(r.connection, r.pool, &mut value);
            let version = c_text(value.data);
            value.data = ptr::null_mut();
            ngx_ssl_get_cipher_name(r.connection, r.pool, &mut value);
            let cipher = c_text(value.data);
            value = ngx_str_t {
                len: 0,
                data: ptr::null_mut(),
            };
            ngx_ssl_get_server_name(r.connection, r.pool, &mut value);
            let server_name = text(&*ptr::addr_of!(value));
            let module = &*ptr::addr_of!(ngx_http_ssl_module);
            let settings = (*r.srv_conf.add(module.ctx_index))
                .cast::<ngx_http_ssl_srv_conf_t>()
                .as_ref();
            let client_certificate = settings.is_some_and(|ssl| ssl.verify != 0) && {
                value = ngx_str_t {
                    len: 0,
                    data: ptr::null_mut(),
                };
                ngx_ssl_get_client_verify(r.connection, r.pool, &mut value) == 0
                    && bytes(&value) == b"SUCCESS"
            };
            let version = version.strip_prefix("TLSv").unwrap_or(version);
            Some(silhouette_capture::Tls {
                version: if version == "1" { "1.0" } else { version },
                cipher,
                server_name,
                client_certificate,
            })
        }
    }

    #[cfg(not(ngx_feature = "http_ssl"))]
    pub(crate) fn tls<'a>(self) -> Option<silhouette_capture::Tls<'a>> {
        None
    }

    /// The upstream's name, the server that was asked last, and the time all attempts took (milliseconds, as nginx
    /// measures it).
    pub(crate) fn upstream<'a>(self) -> Upstream<'a> {
        let r = self.r();
        // SAFETY: null, or arrays and structures of the request's pool.
        unsafe {
            let Some(states) = r.upstream_states.as_ref() else {
                return Upstream::default();
            };
            let states = states.as_slice::<ngx_http_upstream_state_t>();
            let name =
                r.upstream
                    .as_ref()
                    .map_or("", |upstream| match upstream.upstream.as_ref() {
                        Some(block) => text(&block.host),
                        None => upstream
                            .resolved
                            .as_ref()
                            .map_or("", |resolved| text(&resolved.host)),
                    });
            let address = states
                .last()
                .and_then(|state| state.peer.as_ref())
                .and_then(|peer| parse(bytes(peer)));
            let millis = states
                .iter()
                .filter(|s| !s.peer.is_null() && s.response_time as isize >= 0);
            let millis: u64 = millis.map(|s| s.response_time as u64).sum();
            Upstream {
                name,
                address,
                micros: (!states.is_empty()).then_some(millis * 1000),
            }
        }
    }
}

fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

/// The bytes of one of nginx's strings.
pub(crate) fn bytes<'a>(s: &ngx_str_t) -> &'a [u8] {
    if s.data.is_null() || s.len == 0 {
        return &[];
    }
    // SAFETY: nginx keeps `len` bytes at `data`, in a pool that outlives what is read here.
    unsafe { std::slice::from_raw_parts(s.data, s.len) }
}

/// The same as text; empty if it is not UTF-8.
pub(crate) fn text<'a>(s: &ngx_str_t) -> &'a str {
    std::str::from_utf8(bytes(s)).unwrap_or("")
}

/// # Safety
/// `data` is null or a C string that lives forever.
#[cfg(ngx_feature = "http_ssl")]
unsafe fn c_text(data: *mut u8) -> &'static str {
    if data.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(data.cast()) }
        .to_str()
        .unwrap_or("")
}

/// # Safety
/// `sockaddr` is null or points to a socket address of the family it says.
unsafe fn address(sockaddr: *const sockaddr) -> Option<SocketAddr> {
    // SAFETY: the caller's promise; the family tells the structure.
    unsafe {
        match u32::from(sockaddr.as_ref()?.sa_family) {
            AF_INET => {
                let v4 = &*sockaddr.cast::<sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(v4.sin_port)))
            }
            AF_INET6 => {
                let v6 = &*sockaddr.cast::<sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.__in6_u.__u6_addr8);
                Some(SocketAddr::new(
                    IpAddr::V6(ip).to_canonical(),
                    u16::from_be(v6.sin6_port),
                ))
            }
            _ => None,
        }
    }
}

/// `127.0.0.1:8080` or `[::1]:8080`; not `unix:/path`.
fn parse(peer: &[u8]) -> Option<SocketAddr> {
    std::str::from_utf8(peer).ok()?.parse().ok()
}

/// Names and values of one of nginx's header lists.
pub(crate) struct Headers<'a> {
    part: Option<&'a ngx_list_part_t>,
    at: usize,
    without: Option<&'static [u8]>,
}

impl<'a> Headers<'a> {
    fn new(list: &'a ngx_list_t, without: Option<&'static [u8]>) -> Headers<'a> {
        Headers {
            part: Some(&list.part),
            at: 0,
            without,
        }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = self.part?;
            if self.at >= part.nelts {
                // SAFETY: null, or the list's next part.
                self.part = unsafe { part.next.as_ref() };
                self.at = 0;
                continue;
            }
            // SAFETY: a header list's part holds `nelts` elements.
            let header = unsafe { &*part.elts.cast::<ngx_table_elt_t>().add(self.at) };
            self.at += 1;
            let key = bytes(&header.key);
            // A hash of 0 is how nginx deletes a header.
            if header.hash != 0
                && self
                    .without
                    .is_none_or(|name| !key.eq_ignore_ascii_case(name))
            {
                return Some((key, bytes(&header.value)));
            }
        }
    }
}

/// Headers that nginx keeps outside the list and adds when it writes the head.
type OwnHeaders<'a> = [Option<(&'static [u8], Cow<'a, [u8]>)>; 6];

/// Headers of a response: what nginx adds, then the list.
pub(crate) struct ResponseHeaders<'a> {
    own: OwnHeaders<'a>,
    list: &'a ngx_list_t,
    hide_coding: bool,
}

impl ResponseHeaders<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let without = self.hide_coding.then_some(&b"content-encoding"[..]);
        let own = self
            .own
            .iter()
            .flatten()
            .map(|(name, value)| (*name, value.as_ref()));
        own.chain(Headers::new(self.list, without))
    }
}

/// What one buffer of a chain carries.
pub(crate) enum Chunk<'a> {
    /// Bytes in memory.
    Memory(&'a [u8]),
    /// So many bytes that are only in a file.
    File(u64),
}

/// The buffers of a chain, and whether one of them ends the message.
pub(crate) struct Chunks<'a> {
    link: Option<&'a ngx_chain_t>,
    /// Set once a buffer that ends the message was passed.
    pub(crate) last: bool,
}

/// # Safety
/// `chain` is null or a chain that nginx does not change while the result is used.
pub(crate) unsafe fn chunks<'a>(chain: *mut ngx_chain_t) -> Chunks<'a> {
    Chunks {
        // SAFETY: the caller's promise.
        link: unsafe { chain.as_ref() },
        last: false,
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        loop {
            let link = self.link?;
            // SAFETY: null, or the chain's next link and buffer.
            let buf: &ngx_buf_t = unsafe {
                self.link = link.next.as_ref();
                match link.buf.as_ref() {
                    Some(buf) => buf,
                    None => continue,
                }
            };
            self.last |= buf.last_buf() != 0;
            if buf.temporary() != 0 || buf.memory() != 0 || buf.mmap() != 0 {
                if buf.last > buf.pos && !buf.pos.is_null() {
                    // SAFETY: the buffer says that `pos..last` is in memory.
                    let length = unsafe { buf.last.offset_from(buf.pos) }.unsigned_abs();
                    // SAFETY: as above.
                    return Some(Chunk::Memory(unsafe {
                        std::slice::from_raw_parts(buf.pos, length)
                    }));
                }
            } else if buf.in_file() != 0 && buf.file_last > buf.file_pos {
                return Some(Chunk::File(
                    buf.file_last.saturating_sub(buf.file_pos).unsigned_abs(),
                ));
            }
        }
    }
}
