// Panels of b for the tiles of gemm.h. Included by it.
#pragma once
#include "gemm_tile.h"
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// packed[k][places of a panel] from the `columns` columns of b, contiguous along k; missing columns are zeros. `whole`:
// of `lanes` values of k.
template <class T, bool whole, int places>
RUSTTORCH_INLINE void pack_square(T* packed, int64_t width, const T* b, int64_t column_stride, int64_t k,
                                  int64_t columns) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes;
  V x[lanes];
#pragma GCC unroll 16
  for (int j = 0; j < lanes; ++j) {
    if (j >= columns) x[j] = V(T(0));
    else x[j] = whole ? V::load(b + j * column_stride) : V::load(b + j * column_stride, k);
  }
  transpose(x);
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (!whole && i >= k) continue;
    if (places < lanes) x[i].store(packed + i * width, places);
    else x[i].store(packed + i * width);
  }
}

// The same for any number of columns, k and strides.
template <class T, int places>
RUSTTORCH_INLINE void pack_transposed(T* packed, int64_t width, const T* b, int64_t column_stride, int64_t k,
                                      int64_t columns) {
  constexpr int lanes = Vec<T>::lanes;
  int64_t i = 0;
  if (columns >= lanes) {  // without tests in the loop
    for (; i + lanes <= k; i += lanes)
      pack_square<T, true, places>(packed + i * width, width, b + i, column_stride, 0, lanes);
  }
  for (; i + lanes <= k; i += lanes)
    pack_square<T, true, places>(packed + i * width, width, b + i, column_stride, 0, columns);
  if (i < k) pack_square<T, false, places>(packed + i * width, width, b + i, column_stride, k - i, columns);
}
template <class T, int places>
RUSTTORCH_INLINE void pack_strided(T* packed, int64_t width, const T* b, int64_t k_stride, int64_t column_stride,
                                   int64_t k, int64_t columns) {
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t v = 0; v < places; ++v) {
      packed[i * width + v] = v < columns ? b[i * k_stride + v * column_stride] : T(0);
    }
  }
}

// packed: panels of [k][gemm_width], `panel_stride` apart, from b, element (k, column) at b[k * k_stride + column *
// column_stride]. The last panel is filled up with zeros.
template <class T>
void gemm_pack(void* packed_, int64_t panel_stride, const void* b_, int64_t k_stride, int64_t column_stride, int64_t k,
               int64_t columns) {
  using V = Vec<T>;
  constexpr int width = GemmTile<T>::panel, lanes = V::lanes;
  T* const packed = static_cast<T*>(packed_);
  const T* const b = static_cast<const T*>(b_);
  if (column_stride == 1) {
    for (int64_t i = 0; i < k; ++i) {  // whole rows: memory is read in its order
      const T* const from = b + i * k_stride;
      T* to = packed + i * width;
      int64_t j = 0;
      for (; j + width <= columns; j += width, to += panel_stride) {
        V x[width / lanes];
        load_block(from + j, x);
        store_block(to, x);
      }
      for (int v = 0; j < columns && v < width; v += lanes) {
        const int64_t left = columns - j - v;
        (left <= 0 ? V(T(0)) : left < lanes ? V::load(from + j + v, left) : V::load(from + j + v)).store(to + v);
      }
    }
    return;
  }
  for (int64_t j = 0; j < columns; j += lanes) {
    const int64_t left = columns - j;
    T* const to = packed + j / width * panel_stride + j % width;
    const T* const from = b + j * column_stride;
    if (k_stride == 1) pack_transposed<T, lanes>(to, width, from, column_stride, k, left);
    else pack_strided<T, lanes>(to, width, from, k_stride, column_stride, k, left);
  }
  // What the loop did not reach of the last panel.
  const int64_t reached = (columns + lanes - 1) / lanes * lanes;
  for (int64_t j = reached; j % width != 0; j += lanes) {
    for (int64_t i = 0; i < k; ++i) V(T(0)).store(packed + j / width * panel_stride + i * width + j % width);
  }
}

// to[rows][columns], to[i * to_stride + j] = from[j * from_stride + i]. Packing, but for the last columns, beyond which
// nothing may be written.
template <class T>
void gemm_turn(void* to_, int64_t to_stride, const void* from_, int64_t from_stride, int64_t rows, int64_t columns) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes;
  T* const to = static_cast<T*>(to_);
  const T* const from = static_cast<const T*>(from_);
  int64_t j = 0;
  for (; j + lanes <= columns; j += lanes)
    pack_transposed<T, lanes>(to + j, to_stride, from + j * from_stride, from_stride, rows, lanes);
  for (int64_t i = 0; j < columns && i < rows; i += lanes) {
    const int64_t height = rows - i < lanes ? rows - i : lanes;
    T square[lanes * lanes];
    pack_transposed<T, lanes>(square, lanes, from + j * from_stride + i, from_stride, height, columns - j);
    for (int64_t q = 0; q < height; ++q) {
      V::load(square + q * lanes).store(to + (i + q) * to_stride + j, columns - j);
    }
  }
}

// packed: the tiles of gemm_block for these rows, of at most tile_rows rows, [k][pitch] each.
template <class T, class Element>
void gemm_pack_rows(void* packed_, const void* a_, int64_t row_stride, int64_t k_stride, int64_t k, int64_t rows,
                    int64_t tile_rows) {
  using V = Vec<T>;
  constexpr int lanes = V::lanes, pitch = GemmTile<Element>::pitch, places = pitch < lanes ? pitch : lanes;
  T* const packed = static_cast<T*>(packed_);
  const T* const a = static_cast<const T*>(a_);
  const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  if (row_stride == 1) {
    // Eight values of k at a time: lines of a serve several tiles, and the tiles are not written in turns, whose
    // distance is a multiple of 4 KiB for many k.
    for (int64_t start = 0; start < k; start += 8) {
      const int64_t end = start + 8 < k ? start + 8 : k;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t row = rows * tile / tiles, height = rows * (tile + 1) / tiles - row;
        const bool is_inside = row + (pitch < lanes ? lanes : pitch) <= rows;  // then more may be read, and is not used
        for (int64_t i = start; i < end; ++i) {
          const T* const from = a + i * k_stride + row;
          T* const to = packed + (tile * k + i) * pitch;
          __builtin_prefetch(from + 8 * k_stride);  // rows may be pages apart
#pragma GCC unroll 8
          for (int v = 0; v < pitch; v += lanes) {
            const int64_t left = height - v;
            const V x = is_inside || left >= lanes ? V::load(from + v) : V::load(from + v, left > 0 ? left : 0);
            if (places < lanes) x.store(to + v, places);
            else x.store(to + v);
          }
        }
      }
    }
    return;
  }
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t row = rows * tile / tiles, height = rows * (tile + 1) / tiles - row;
    const T* const from = a + row * row_stride;
    T* const to = packed + tile * k * pitch;
    for (int v = 0; v < pitch; v += lanes) {
      if (k_stride == 1) pack_transposed<T, places>(to + v, pitch, from + v * row_stride, row_stride, k, height - v);
      else pack_strided<T, places>(to + v, pitch, from + v * row_stride, k_stride, row_stride, k, height - v);
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
