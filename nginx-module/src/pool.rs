//! Rust values in nginx's memory pools. In: a pool and a value. Out: its address, valid until the pool goes, which drops
//! it. Never panics: without memory there is no value.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use nginx_sys::{ngx_pool_cleanup_add, ngx_pool_t};

/// Moves `value` into `pool`; `None` when there is no memory.
///
/// # Safety
/// `pool` is a live pool.
pub(crate) unsafe fn place<T>(pool: *mut ngx_pool_t, value: T) -> Option<NonNull<T>> {
    const { assert!(align_of::<T>() <= nginx_sys::NGX_ALIGNMENT) };
    // SAFETY: the caller's promise; nginx allocates `size` bytes for the cleanup, aligned for any of its own types.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(pool, size_of::<T>().max(1)).as_mut()?;
        let place = NonNull::new(cleanup.data.cast::<T>())?;
        place.write(value);
        cleanup.handler = Some(drop_value::<T>);
        Some(place)
    }
}

/// The value of this type that [`place`] put into `pool`.
///
/// # Safety
/// `pool` is a live pool.
pub(crate) unsafe fn find<T>(pool: *mut ngx_pool_t) -> Option<NonNull<T>> {
    // SAFETY: the caller's promise; cleanups form a list that ends with null.
    unsafe {
        let mut cleanup = (*pool).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            if entry.handler.is_some_and(|handler| {
                ptr::fn_addr_eq(handler, drop_value::<T> as unsafe extern "C" fn(_))
            }) {
                return NonNull::new(entry.data.cast::<T>());
            }
            cleanup = entry.next;
        }
        None
    }
}

unsafe extern "C" fn drop_value<T>(data: *mut c_void) {
    // A destructor that panics must not unwind into nginx.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: `place` wrote a `T` there and nginx runs each cleanup once.
        unsafe { ptr::drop_in_place(data.cast::<T>()) }
    });
}
