# An HTTP compression profile, with `compress 1`.
#
# In: a server's response that is about to be released. Out: the same, compressed, for clients that take gzip: the head says so and has no
# length any more, the body goes in chunks, a piece as it comes. Rules have seen the plain body by then: compressing is between
# HTTP_RESPONSE_DATA and HTTP_RESPONSE_RELEASE, which is triggered after modules have processed the response
# (https://clouddocs.f5.com/api/irules/HTTP-RESPONSE-RELEASE.html). Only with chunking `selective`, where bodies have no framing here.

namespace eval ::flow {
    # Begins, if the response is one to compress: its head is changed.
    proc compress_begins {id} {
        upvar #0 ::flow::f$id f
        if {!$::flow::config(compress) || $::flow::config(chunking) ne "selective" || $f(local) || $f(p,bodiless) || $f(q,version) ne "1.1"
            || "gzip" ni [::message::tokens $f(q,headers) accept-encoding] || [llength [::message::tokens $f(p,headers) content-encoding]]} {
            return
        }
        set headers {}
        foreach {name value} $f(p,headers) {
            if {[string tolower $name] ni {content-length transfer-encoding}} { lappend headers $name $value }
        }
        array set f [list p,headers [concat $headers {Content-Encoding gzip Transfer-Encoding chunked}] p,dirty 1 p,replaced 0 \
            p,gzip [zlib stream gzip]]
    }
    proc compresses {id} {
        upvar #0 ::flow::f$id f
        info exists f(p,gzip)
    }

    # What these bytes of the body are to the client.
    proc compressed {id bytes how} {
        upvar #0 ::flow::f$id f
        $f(p,gzip) put $how $bytes
        set out [$f(p,gzip) get]
        if {$out eq ""} { return }
        return [format %x [string length $out]]\r\n$out\r\n
    }
    # The end of the body, or of the connection.
    proc compress_ends {id} {
        upvar #0 ::flow::f$id f
        if {![compresses $id]} { return }
        set out "[compressed $id "" -finalize]0\r\n\r\n"
        $f(p,gzip) close
        unset f(p,gzip)
        return $out
    }
}
